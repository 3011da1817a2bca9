// Machines that a YAML file describes, booted.
import { readdirSync, readFileSync } from "node:fs";
import { assertInvariants, GiB, MiB, run } from "@hetmem/kernel";
import { machineOfYaml } from "@hetmem/machine-spec";
import { memoryInvariants } from "@hetmem/zone";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";

test("movable_node makes ZONE_MOVABLE of the memory of a node that is hotpluggable", () => {
  const text =
    "nodes:\n  - { memory: 4G, cpus: 0 }\n  - { memory: 2G, hotpluggable: true }\noptions: { movable_node: true }\n";
  const { memory } = createMachine(machineOfYaml(text, "m.yaml"));
  expect(
    memory.nodes.map((node) => node?.zones.filter((zone) => zone.populated).map(({ name }) => name)),
  ).toEqual([["DMA", "DMA32", "Normal"], ["Movable"]]);
});

test.each([0, 0x3000, 0xa0000, 2 * MiB])("a machine whose RAM begins at %d boots", (start) => {
  const text = `nodes:\n  - { memory: { start: ${start}, end: 1G }, cpus: 0 }\n`;
  const { memory } = createMachine(machineOfYaml(text, "m.yaml"));
  expect(memory.nodes[0]?.presentPages).toBeGreaterThan((GiB - 3 * MiB) / 4096);
});

test("RAM may end inside a memory block, which is there in part and can't go offline", () => {
  const text = "nodes:\n  - { memory: 1000M, cpus: 0 }\n  - { memory: { start: 1001M, size: 1G } }\n";
  const machine = createMachine(machineOfYaml(text, "m.yaml", "v6.1"));
  const MEMORY = "/sys/devices/system/memory";
  expect([...machine.hotplug.blocks.keys()]).toEqual(Array.from({ length: 16 }, (_, id) => id));
  expect(machine.memory.nodes.map((node) => node?.presentPages)).toEqual([
    (1000 * MiB - 0x62000) / 4096,
    2 ** 18,
  ]);
  expect(machine.hotplug.block(7).nodes).toEqual([0, 1]);
  for (const id of [7, 15])
    expect(() => run(machine.vfs.write(`${MEMORY}/memory${id}/state`, "offline"))).toThrow(/^EINVAL/);
  run(machine.vfs.write(`${MEMORY}/memory14/state`, "offline"));
  expect(run(machine.vfs.read(`${MEMORY}/memory14/state`))).toBe("offline\n");
  assertInvariants(machine.memory, memoryInvariants);
});

test("every bundled machine is one", () => {
  const folder = new URL("../fixtures/machines/", import.meta.url);
  const files = readdirSync(folder);
  expect(files).toContain("ram-ends-at-4g.yaml");
  for (const file of files)
    expect(
      machineOfYaml(readFileSync(new URL(file, folder), "utf8"), file).nodes.length,
      file,
    ).toBeGreaterThan(0);
});
