import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { MiB, PAGE_SIZE } from "@hetmem/kernel";
import { STRUCT_PAGE_BYTES } from "@hetmem/page";
import { describe, expect, test } from "vitest";
import type { MachineView } from "@hetmem/report";
import { hetmem } from "./hetmem-program.ts";

const MACHINES = fileURLToPath(new URL("../fixtures/machines/", import.meta.url));
/** The kernel's image lies in ZONE_DMA32. */
const KERNEL_IMAGE = 32 * MiB;
/** ZONE_DMA isn't charged for the struct pages of its 16 MiB, which node 0's others hold. */
const DMA_STRUCT_PAGES = (16 * MiB * STRUCT_PAGE_BYTES) / PAGE_SIZE;

async function viewOf(file: string): Promise<MachineView> {
  const { out } = await hetmem("boot", "--machine", `${MACHINES}${file}`, "--json");
  return (JSON.parse(out) as { machine: MachineView }).machine;
}

describe("the bill of struct pages is what MemTotal lacks of the RAM", () => {
  test.each(readdirSync(MACHINES))("%s", async (file) => {
    const { memmap, zones, memTotalKb } = await viewOf(file);
    const bill = memmap.reduce((sum, { linuxBytes }) => sum + linuxBytes, 0);
    const present = zones.reduce((sum, zone) => sum + zone.present, 0) * PAGE_SIZE;
    const firmware = zones.filter(({ name }) => name === "DMA").map((zone) => zone.present - zone.managed);
    const low = firmware.reduce((sum, pages) => sum + pages, 0) * PAGE_SIZE;
    expect(present - memTotalKb * 1024).toBe(bill - DMA_STRUCT_PAGES + KERNEL_IMAGE + low);
    expect(zones.reduce((sum, zone) => sum + zone.managed, 0) * PAGE_SIZE).toBe(memTotalKb * 1024);
  });
});
