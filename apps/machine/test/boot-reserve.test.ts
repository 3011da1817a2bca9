// What the boot keeps of memory, and that /proc/meminfo tells of nothing else.
import { GiB, MiB, nodeId, physAddr } from "@hetmem/kernel";
import { allZones, bootStructPages } from "@hetmem/zone";
import { array, assert, boolean, constant, integer, oneof, property, tuple } from "fast-check";
import { expect, test } from "vitest";
import { createMachine, machineOfYaml } from "../src/index.ts";
import { bootUsageOf } from "../src/spec/boot-reserve.ts";

/** The kernel's image. */
const IMAGE = (32 * MiB) / 4096;

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

test("a machine whose kernel nodes can't hold all struct pages is refused with the place in its file", () => {
  expect(() => machineWith(["8G", "1T, hotpluggable: true"], "{ movable_node: true }")).toThrow(
    /^EINVAL: m\.yaml:1: the struct pages of node 1 find no room/,
  );
});

test("what MemTotal lacks of the memory is struct pages, the kernel's image and the first MiB", () => {
  const blocks = integer({ min: 2, max: 40 });
  const options = oneof(
    constant({}),
    blocks.map((count) => ({ kernelcore: count * 128 * MiB })),
    blocks.map((count) => ({ movablecore: count * 128 * MiB })),
    constant({ movable_node: true }),
  );
  assert(
    property(array(tuple(blocks, boolean()), { maxLength: 3 }), options, (wishes, given) => {
      let end = 6 * GiB;
      const nodes = [
        { id: nodeId(0), cpus: [0], memory: [{ start: physAddr(MiB), end: physAddr(end) }] },
        ...wishes.map(([count, hotpluggable], index) => {
          const start = physAddr(end);
          end += count * 128 * MiB;
          return { id: nodeId(index + 1), cpus: [], memory: [{ start, end: physAddr(end), hotpluggable }] };
        }),
      ];
      const bill = bootStructPages(nodes, given).reduce((sum, { frames }) => sum + frames, 0);
      const lost = bootUsageOf(nodes, given).reduce((sum, { reservedPages }) => sum + reservedPages, 0);
      expect(lost).toBe(bill + IMAGE);
    }),
    { numRuns: 100 },
  );
});
