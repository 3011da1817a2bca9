import { stripVTControlCharacters } from "node:util";
import { GiB, MiB } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { captureHost } from "@hetmem/host-capture";
import { BUNDLED_CAPTURES, openTree } from "@hetmem/host-capture/node";
import { createPaint } from "../src/paint.ts";
import { physicalMapLines } from "../src/physical-map.ts";
import { formatAddress } from "../src/size.ts";
import { type MachineView, type Stretch, viewOf } from "../src/view.ts";

const plain = createPaint(false);
const captured = captureHost(openTree(BUNDLED_CAPTURES["hidden-ram"]), "v6.1");
const hiddenRam = viewOf(captured.spec, captured.host);

/** The text of a lane, without its label. */
function lane(view: MachineView, name: string, width = 100): string {
  const line = physicalMapLines(view, width, plain).find((text) => text.startsWith(name.padEnd(10)));
  return line?.slice(10) ?? "";
}

/** How often a lane is drawn. */
function pictures(view: MachineView): number {
  return physicalMapLines(view, 100, plain).filter((line) => line.startsWith("node 0")).length;
}

function drawn(stretches: readonly Stretch[]): MachineView {
  return { ...hiddenRam, stretches };
}

describe("the physical map", () => {
  test("equal memory has equal width, in its place", () => {
    const nodes = [lane(hiddenRam, "node 0"), lane(hiddenRam, "node 1")];
    expect(nodes[0]).toMatch(/^▚▒{10}$/);
    expect(nodes[1]).toMatch(/^ {10,11}▒{11,12}$/);
    // 96 MiB a column: the hidden memory is from 4 GiB to 7 GiB.
    expect(lane(hiddenRam, "hidden")).toBe(" ".repeat(42) + "?".repeat(33));
  });

  test("a zone too thin for the scale is still seen once", () => {
    const view = drawn([
      { start: 0, end: 16 * MiB, lane: "node 0", kind: "DMA" },
      { start: 16 * MiB, end: 1024 * GiB, lane: "node 0", kind: "Normal" },
    ]);
    expect(lane(view, "node 0")).toMatch(/^▚█+$/);
  });

  test("a machine with more than 16 GiB has its first 4 GiB drawn again, larger", () => {
    const large = drawn([{ start: 0, end: 64 * GiB, lane: "node 0", kind: "Normal" }]);
    expect(pictures(large)).toBe(2);
    expect(pictures(hiddenRam)).toBe(1);
  });

  test("what lies above the picture is listed, whole windows only", () => {
    const text = physicalMapLines(hiddenRam, 100, plain).join("\n");
    expect(text).toContain("Above the picture: devices at 0x12_8000_0000 (32 GiB)");
  });

  test("no line is wider than the terminal, whatever memory there is", () => {
    const stretch = fc.record({
      start: fc.integer({ min: 0, max: 2 ** 30 }),
      pages: fc.integer({ min: 1, max: 2 ** 28 }),
      node: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(stretch, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 60, max: 100 }),
        (memory, width) => {
          const view = drawn(
            memory.map(({ start, pages, node }) => ({
              start: start * 4096,
              end: (start + pages) * 4096,
              lane: `node ${node}`,
              kind: "Normal" as const,
            })),
          );
          const lines = physicalMapLines(view, width, plain).filter(
            (line) => !line.includes("Above the picture"),
          );
          for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
          for (const { node } of memory) expect(lane(view, `node ${node}`, width)).toContain("█");
        },
      ),
    );
  });

  test("without colours there isn't one escape sequence, and with them the text is the same", () => {
    const bare = physicalMapLines(hiddenRam, 100, plain).join("\n");
    const coloured = physicalMapLines(hiddenRam, 100, createPaint(true)).join("\n");
    expect(bare).not.toContain("\u001b");
    expect(coloured).toContain("\u001b");
    expect(stripVTControlCharacters(coloured)).toBe(bare);
  });
});

describe("numbers for people", () => {
  test("an address is grouped from the right, so that 4 GiB is a group of its own", () => {
    expect([0x1000, 4 * GiB, 0x12_8000_0000].map(formatAddress)).toEqual([
      "0x0000_1000",
      "0x1_0000_0000",
      "0x12_8000_0000",
    ]);
  });
});

describe("the view of a machine", () => {
  test("struct pages are paid for by the whole section, 64 bytes each", () => {
    expect(hiddenRam.memmap).toMatchObject([
      { node: 0, structPages: 8 * 32768, linuxBytes: 16 * MiB, hetmemBytes: 8 * MiB },
      { node: 1, structPages: 8 * 32768, linuxBytes: 16 * MiB, hetmemBytes: 8 * MiB },
    ]);
  });

  test("zones and blocks are those of its own files", () => {
    expect(hiddenRam.blocks).toHaveLength(16);
    expect(hiddenRam.zones.map((zone) => `${zone.node} ${zone.name} ${zone.present}`)).toEqual([
      "0 DMA 3998",
      "0 DMA32 258048",
      "1 DMA32 262110",
      "1 Device 0",
    ]);
    expect(hiddenRam.memTotalKb).toBe(
      Number(
        /MemTotal: +(\d+)/.exec(openTree(BUNDLED_CAPTURES["hidden-ram"]).read("/proc/meminfo") ?? "")?.[1],
      ),
    );
  });
});
