// Pages of devices are found with the process that has them, on their node and with their device.
import { run } from "@hetmem/kernel";
import { MemoryCgroups } from "@hetmem/memcg";
import { MemoryType } from "@hetmem/memremap";
import { expect, test } from "vitest";
import { BASE, migrateMachine, TestDevice, write } from "@hetmem/test-machines/migrate-machine";
import { attributeMemory } from "../src/index.ts";
import { mmOf } from "@hetmem/test-machines/vm-machine";

const PAGES = 8;
const MOVED = 5;

test.each([
  ["private", MemoryType.DevicePrivate],
  ["coherent", MemoryType.DeviceCoherent],
] as const)(
  "pages in %s memory of a device are counted there, and with their process as before",
  (memory, type) => {
    let memcgs: MemoryCgroups | undefined;
    const machine = migrateMachine({ charging: (of) => (memcgs = new MemoryCgroups(of)).charging });
    if (!memcgs) throw new Error("the machine asked for nobody to charge");
    const device = new TestDevice(machine, { type, pages: PAGES });
    const web = memcgs.create(memcgs.root, "web");
    const process = machine.spawn(PAGES);
    memcgs.attach(mmOf(process), web);
    for (let i = 0; i < PAGES; i++) write(process, i, i + 1);
    const before = attributeMemory(memcgs, web, { device: () => "gpu0" });
    expect(before.devices).toEqual([]);
    expect(run(device.migrateTo(mmOf(process), BASE, MOVED))).toBe(MOVED);
    const { devices, processes, holdings, pages } = attributeMemory(memcgs, web, { device: () => "gpu0" });
    expect(devices).toEqual([{ device: "gpu0", memory, pages: MOVED }]);
    expect(processes).toEqual(before.processes);
    expect(holdings).toEqual(before.holdings);
    expect(pages).toBe(before.pages);
  },
);
