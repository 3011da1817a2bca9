// Memory that the boot reserves.
import { GiB, MiB, nodeId, physAddr } from "@hetmem/kernel";
import { bootStructPages } from "@hetmem/zone";
import { array, assert, boolean, constant, integer, oneof, property, tuple } from "fast-check";
import { expect, test } from "vitest";
import { bootUsageOf } from "../src/boot-reserve.ts";
import { machineOfYaml } from "../src/yaml.ts";

/** The kernel's image. */
const IMAGE = (32 * MiB) / 4096;

test("a machine whose kernel nodes can't hold all struct pages is refused with the place in its file", () => {
  expect(() =>
    machineOfYaml(
      "nodes: [{ memory: 8G, cpus: 0 }, { memory: 1T, cpus: 1, hotpluggable: true }]\noptions: { movable_node: true }\n",
      "m.yaml",
      "v6.1",
    ),
  ).toThrow(/^EINVAL: m\.yaml:1: the struct pages of node 1 find no room/);
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
