// Memory that the boot reserves, which /proc/meminfo leaves out.
import { GiB } from "@hetmem/kernel";
import { allZones } from "@hetmem/zone";
import { expect, test } from "vitest";
import { createMachine, machineOfYaml } from "../src/index.ts";

function machineWith(nodes: readonly string[], options: string) {
  const list = nodes.map((node, id) => `  - { memory: ${node}, cpus: ${id} }\n`).join("");
  return createMachine(machineOfYaml(`nodes:\n${list}options: ${options}\n`, "m.yaml", "v6.1"));
}

/** Kilobytes of /proc/meminfo. */
function memTotal(nodes: readonly string[], options: string): number {
  const { memory } = machineWith(nodes, options);
  return [...allZones(memory)].reduce((sum, zone) => sum + zone.managedPages, 0) * 4;
}

test("MemTotal is the same whichever part of the memory is movable", () => {
  const nodes = ["64G", "64G, hotpluggable: true"];
  for (const options of ["{}", "{ movable_node: true }", "{ kernelcore: 16G }", "{ movablecore: 40G }"])
    expect(memTotal(nodes, options), options).toBe(132_087_040);
});

test("with movable_node the Normal zone of the kernel's node pays for the movable node", () => {
  const { memory } = machineWith(["64G", "64G, hotpluggable: true"], "{ movable_node: true }");
  const [kernel, movable] = [memory.nodes[0]?.zones[2], memory.nodes[1]?.zones[3]];
  expect(movable?.managedPages).toBe((64 * GiB) / 4096);
  expect(kernel?.managedPages).toBeLessThan((kernel?.presentPages ?? 0) - (2 * GiB) / 4096 + 10_000);
});
