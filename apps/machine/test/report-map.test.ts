// The physical map of machines that were booted.
import { readFileSync } from "node:fs";
import { readHost, vfsTree } from "@hetmem/host-capture";
import { GiB } from "@hetmem/kernel";
import { machineOfYaml } from "@hetmem/machine-spec";
import { createPaint, type MachineView, physicalMapLines, viewOf } from "@hetmem/report";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";

const plain = createPaint(false);

/** The text of a lane, without its label. */
function lane(view: MachineView, name: string): string {
  const line = physicalMapLines(view, 100, plain).find((text) => text.startsWith(name.padEnd(10)));
  return line?.slice(10) ?? "";
}

const SIGNS = {
  DMA: "▚",
  DMA32: "▒",
  Normal: "█",
  Movable: "░",
  offline: "▁",
  hidden: "?",
  pmem: "▓",
  reserved: "◆",
  gpu: "●",
  firmware: "▪",
  device: "─",
  online: "■",
} as const;
const machines = new URL("../fixtures/machines/", import.meta.url);

test.each(["server-pmem", "two-gpus", "server-1t-cxl", "laptop"])(
  "%s: each range is painted in its place by the sign of what it is, and the legend has the signs that are used",
  (name) => {
    const spec = machineOfYaml(readFileSync(new URL(`${name}.yaml`, machines), "utf8"), `${name}.yaml`);
    const view = viewOf(spec, readHost(vfsTree(name, createMachine(spec).vfs)));
    for (const width of [60, 80, 100, 160]) {
      const lines = physicalMapLines(view, width, plain);
      for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(width);
      const lanes = lines.filter((line) =>
        view.stretches.some((each) => line.startsWith(each.lane.padEnd(10))),
      );
      for (const { lane: laneOf, kind, start } of view.stretches) {
        if (kind === "device" && start >= 4 * GiB) continue;
        const painted = lanes.filter((line) => line.startsWith(laneOf.padEnd(10))).join("");
        expect(painted.slice(10), `${laneOf} at ${width}`).toContain(SIGNS[kind]);
      }
      const legendStart = lines.findIndex((line) => line.includes("one column is")) + 2;
      const legend = lines
        .slice(legendStart, legendStart + 3)
        .filter((line) => /^ {10}[^ ] [a-zA-Z]/.test(line));
      const used = new Set(lanes.flatMap((line) => [...line.slice(10).replaceAll(" ", "")]));
      expect(
        [...legend.join("   ").matchAll(/(?:^|   )([^ ]) (?=[a-zA-Z])/g)].map((found) => found[1]).sort(),
      ).toEqual([...used].sort());
    }
  },
);

test("memory of devices isn't painted as RAM of the node that it is near", () => {
  const spec = machineOfYaml(
    "profile: v6.1\nnodes: [{ memory: 4G, cpus: 0 }]\ndevices:\n  - { name: Soft Reserved, start: 8G, size: 4G, node: 0 }\n",
    "near.yaml",
  );
  const view = viewOf(spec, readHost(vfsTree("near", createMachine(spec).vfs)));
  expect(lane(view, "node 0")).toMatch(/^▚▒+ +█+$/);
  expect(lane(view, "reserved")).toMatch(/^ +◆+$/);
});
