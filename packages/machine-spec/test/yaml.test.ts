import { GiB, MiB } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkLimits } from "../src/limits.ts";
import { machineOfYaml } from "../src/yaml.ts";

const ranges = (text: string): [number, number][][] =>
  machineOfYaml(text, "machine.yaml").nodes.map((node) => node.memory.map(({ start, end }) => [start, end]));

function complaint(text: string): string {
  try {
    machineOfYaml(text, "machine.yaml");
  } catch (error) {
    return String(error).replace("KernelError: EINVAL: ", "");
  }
  return "accepted";
}

describe("a machine in a YAML file", () => {
  test("sizes are laid out from zero, around the first MiB's devices and the PCI hole", () => {
    expect(ranges("nodes:\n  - { memory: 4G, cpus: 0-3 }\n  - memory: 2G\n")).toEqual([
      [
        [0x1000, 0x9f000],
        [MiB, 3 * GiB],
        [4 * GiB, 5 * GiB],
      ],
      [[5 * GiB, 7 * GiB]],
    ]);
  });

  test("a node may begin inside the hole's shadow, and then begins above it", () => {
    expect(ranges("nodes:\n  - { memory: 3G, cpus: 0 }\n  - memory: 1G\n")[1]).toEqual([[4 * GiB, 5 * GiB]]);
  });

  test("ranges stay where they are, and sizes follow the last of them", () => {
    const text =
      "nodes:\n  - cpus: 0\n    memory:\n      - { start: 0, end: 1G }\n      - { start: 8G, size: 1G }\n      - 1G\n";
    expect(ranges(text)[0]).toEqual([
      [0x1000, 0x9f000],
      [MiB, GiB],
      [8 * GiB, 9 * GiB],
      [9 * GiB, 10 * GiB],
    ]);
  });

  test("what it does not say has a default", () => {
    expect(machineOfYaml("nodes:\n  - { memory: 1G, cpus: 0 }\n  - {}\n", "dir/small.yaml")).toMatchObject({
      name: "small",
      profile: "v5.1",
      blockSize: 128 * MiB,
      physicalBits: 46,
      distances: [
        [10, 20],
        [20, 10],
      ],
      hidden: [],
      options: {},
    });
  });

  test.each([
    ["64 GiB in sizes", "{ memory: 64G, cpus: 0 }", "", 2 * GiB],
    ["less than 64 GiB", "{ memory: 62G, cpus: 0 }", "", 128 * MiB],
    ["little memory that ends at 66 GiB", "{ memory: [2G, { start: 64G, size: 2G }], cpus: 0 }", "", 2 * GiB],
    ["two nodes with 64 GiB together", "{ memory: 32G, cpus: 0 }\n  - { memory: 32G }", "", 2 * GiB],
    ["a piece that is no multiple of 2 GiB", "{ memory: [64G, 1G], cpus: 0 }", "", 128 * MiB],
    ["a range off a border of 2 GiB", "{ memory: [64G, { start: 65G, size: 2G }], cpus: 0 }", "", 128 * MiB],
    [
      "hidden memory that ends off a border",
      "{ memory: 64G, cpus: 0 }",
      "hidden: [{ start: 80G, size: 1G }]",
      128 * MiB,
    ],
    ["hidden memory on borders", "{ memory: 64G, cpus: 0 }", "hidden: [{ start: 80G, size: 2G }]", 2 * GiB],
    [
      "a PCI hole that cuts a block",
      "{ memory: 64G, cpus: 0 }",
      "pci_hole: { start: 3G, end: 4G }",
      128 * MiB,
    ],
    ["a size of its own", "{ memory: 64G, cpus: 0 }", "block_size: 1G", GiB],
  ])("with %s its memory blocks are as large as x86 makes them", (_, node, more, blockSize) => {
    expect(machineOfYaml(`nodes:\n  - ${node}\n${more}\n`, "m.yaml").blockSize).toBe(blockSize);
  });

  test("only the memory of a node that is hotpluggable is so", () => {
    const text =
      "nodes:\n  - { memory: 4G, cpus: 0 }\n  - { memory: 2G, hotpluggable: true }\noptions: { movable_node: true }\n";
    const spec = machineOfYaml(text, "m.yaml");
    expect(spec.nodes.map(({ memory }) => memory.map(({ hotpluggable = false }) => hotpluggable))).toEqual([
      [false, false, false],
      [true],
    ]);
  });

  test.each([
    [
      0,
      [
        [0x1000, 0x9f000],
        [MiB, GiB],
      ],
    ],
    [
      0x3000,
      [
        [0x3000, 0x9f000],
        [MiB, GiB],
      ],
    ],
    [0xa0000, [[MiB, GiB]]],
    [2 * MiB, [[2 * MiB, GiB]]],
  ])("of RAM from %d on, what is below 1 MiB is cut as on every PC", (start, expected) => {
    const text = `nodes:\n  - { memory: { start: ${start}, end: 1G }, cpus: 0 }\n`;
    expect(ranges(text)[0]).toEqual(expected);
    const { iomem } = machineOfYaml(text, "m.yaml");
    expect(iomem.some(({ name }) => name === "System ROM")).toBe(start < 0x9f000);
  });

  test("64 MiB are enough to boot", () => {
    expect(ranges("nodes:\n  - { memory: 64M, cpus: 0 }\n")[0]?.at(-1)).toEqual([MiB, 64 * MiB]);
  });

  test("the profile of the command line wins over the file's", () => {
    const text = "profile: v4.14\nnodes:\n  - { memory: 1G, cpus: 0 }\n";
    expect(machineOfYaml(text, "m.yaml").profile).toBe("v4.14");
    expect(machineOfYaml(text, "m.yaml", "v6.1").profile).toBe("v6.1");
  });

  test("its iomem shows all of its RAM, the hole and the devices that it names, in order", () => {
    const text =
      "nodes:\n  - { memory: 4G, cpus: 0 }\ndevices:\n  - { start: 8G, size: 1G, name: Persistent Memory }\n";
    const { iomem } = machineOfYaml(text, "m.yaml");
    expect(iomem.filter(({ name }) => name === "System RAM").map(({ start, end }) => [start, end])).toEqual([
      [0x1000, 0x9efff],
      [MiB, 3 * GiB - 1],
      [4 * GiB, 5 * GiB - 1],
    ]);
    expect(iomem.at(-1)).toEqual({
      start: 8 * GiB,
      end: 9 * GiB - 1,
      name: "Persistent Memory",
      children: [],
    });
    expect(iomem.every((entry, index) => index === 0 || entry.start > (iomem[index - 1]?.end ?? -1))).toBe(
      true,
    );
  });

  test("whatever sizes nodes have, each gets exactly its own, and nothing overlaps", () => {
    const blocks = fc
      .array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 6 })
      .filter((list) => list.some((count) => count > 0));
    fc.assert(
      fc.property(blocks, (counts) => {
        const text = `nodes:\n${counts.map((count, index) => `  - { memory: ${count * 128}M, cpus: ${index} }\n`).join("")}`;
        const spec = machineOfYaml(text, "m.yaml");
        const firmware = MiB - (0x9f000 - 0x1000);
        const first = counts.findIndex((count) => count > 0);
        for (const [index, node] of spec.nodes.entries()) {
          const bytes = node.memory.reduce((sum, range) => sum + range.end - range.start, 0);
          expect(bytes).toBe((counts[index] ?? 0) * 128 * MiB - (index === first ? firmware : 0));
        }
        expect(checkLimits(spec)).toEqual([]);
      }),
    );
  });
});

describe("a YAML file that is no machine", () => {
  const good = "nodes:\n  - memory: 4G\n    cpus: 0-1\n";

  test.each([
    [
      "nodes:\n  - cpus: 0\n    memory:\n      - start: 0\n        end: 4X\n",
      'machine.yaml:5: nodes[0].memory[0].end: "4X" is not a size; write a number, then K, M, G or T',
    ],
    [`${good}profile: v9\n`, 'machine.yaml:4: profile: "v9" is not known; write v4.14, v5.1 or v6.1'],
    [
      `${good}  - memry: 4G\n`,
      "machine.yaml:4: nodes[1].memry: nothing is called so here; the names are id, memory, cpus",
    ],
    ["profile: v5.1\n", "machine.yaml:1: nodes: is missing, and it is needed"],
    ["nodes: 4\n", "machine.yaml:1: nodes: 4 is not a list of nodes; write each behind a dash"],
    ["", "machine.yaml:1: nothing is here; the names are name, profile, release, block_size,"],
    ["nodes: [\n", /^machine\.yaml:\d: not YAML: /],
    [
      "nodes:\n  - { memory: 0x8000001, cpus: 0 }\n",
      "machine.yaml:2: nodes[0].memory: 0x8000001 is not a whole number of pages; use a multiple of 4K",
    ],
    [
      "nodes:\n  - { memory: { start: 0, end: 0x8000001 }, cpus: 0 }\n",
      "machine.yaml:2: nodes[0].memory: the range does not start and end on a page; use multiples of 4K",
    ],
    [
      "nodes:\n  - { memory: 63M, cpus: 0 }\n",
      "machine.yaml:1: nodes: the machine can't boot with 62M of memory: use 64M or more",
    ],
    [
      `${good}hidden:\n  - { start: 8G, size: 100M }\n`,
      "machine.yaml:5: hidden[0]: the range does not start and end on a memory block; use multiples of 128M",
    ],
    [
      `${good}devices:\n  - { start: 1G, size: 1G, name: Persistent Memory }\n`,
      "machine.yaml:5: devices[0]: 1G-2G overlaps System RAM at 1M-3G: move one of them",
    ],
    [
      `${good}devices:\n  - { start: 3G, size: 1M, name: Flash }\n`,
      "machine.yaml:5: devices[0]: 3G-3073M overlaps PCI Bus 0000:00 at 3G-4076M: move one of them",
    ],
    [
      `${good}devices:\n  - { start: 8G, size: 1G, name: A }\n  - { start: 8G, size: 2G, name: B }\n`,
      "machine.yaml:6: devices[1]: 8G-10G overlaps A at 8G-9G: move one of them",
    ],
    [
      "nodes:\n  - { memory: { start: 0, end: 4G }, cpus: 0 }\npci_hole: { start: 3G, end: 4G }\n",
      "machine.yaml:3: pci_hole: the hole lies over RAM at 1M-4G: move it, or leave it out",
    ],
    [
      "nodes:\n  - { memory: { start: 2M, end: 4G }, cpus: 0, hotpluggable: true }\n",
      "machine.yaml:2: nodes[0].hotpluggable: the kernel lies in this node",
    ],
    [
      `${good}physical_bits: 36\ndevices:\n  - { start: 63G, size: 2G, name: A }\n`,
      "machine.yaml:6: devices[0]: 63G-65G is past the top of the physical address space (36 bits): raise physical_bits or move it down",
    ],
    [
      "nodes:\n  - { memory: 4G, cpus: many }\n",
      'machine.yaml:2: nodes[0].cpus: "many" is not a list of CPUs; write one like 0-3,8',
    ],
    [
      `${good}hidden:\n  - { start: 8G }\n`,
      "machine.yaml:5: hidden[0]: a range has a start and either an end or a size; write one of the two",
    ],
    [
      `${good}hidden:\n  - { start: 8G, size: 1G, node: 7 }\n`,
      "machine.yaml:5: hidden[0].node: there is no node 7; add it to nodes, without memory",
    ],
    [
      `${good}hidden:\n  - { start: 1G, size: 1G }\n`,
      "machine.yaml:5: hidden[0]: 1G-2G overlaps 1M-3G of node 0: move one of them",
    ],
    [
      `${good}block_size: 96M\n`,
      "machine.yaml:4: block_size: 96M can't be the size of a memory block: use a power of two from 128M (one section) to 64G",
    ],
    [
      `${good}  - { memory: 1G, cpus: 1 }\n`,
      "machine.yaml:4: nodes[1].cpus: CPU 1 is in node 0 already: a CPU is in one node",
    ],
    [
      `${good}distances: [[10, 21], [21, 10]]\n`,
      "machine.yaml:4: distances: 2 rows for 1 nodes: give a row for each node, such as [10, 21]",
    ],
    [`${good}distances: [[12]]\n`, "machine.yaml:4: distances[0][0]: a node is 10 from itself, not 12"],
    [
      "nodes:\n  - { memory: 4G, cpus: 0, hotpluggable: true }\n",
      "machine.yaml:2: nodes[0].hotpluggable: the kernel lies in this node, so it can't be taken away; leave hotpluggable out",
    ],
    [
      "nodes:\n  - { cpus: 0 }\n  - { memory: 4G }\n  - memory: 4G\n    hotpluggable: maybe\n",
      'machine.yaml:5: nodes[2].hotpluggable: "maybe" is neither true nor false',
    ],
    [
      "nodes:\n  - { cpus: 0 }\n  - memory: 4G\n    hotpluggable: true\n",
      "machine.yaml:4: nodes[1].hotpluggable: the kernel lies in this node",
    ],
    [
      `${good}options:\n  kernelcore: 1G\n  movable_node: true\n`,
      "machine.yaml:6: options.movable_node: the kernel ignores kernelcore and movablecore with it; keep one of the two ways",
    ],
    [
      `${good}options: { movablecore: 1G, movable_node: true }\n`,
      "machine.yaml:4: options.movable_node: the kernel ignores kernelcore and movablecore with it",
    ],
    [
      `${good}physical_bits: 32\n`,
      "machine.yaml:2: nodes[0].memory: 4G-5G is past the top of the physical address space (32 bits): raise physical_bits or move it down",
    ],
    [
      "nodes:\n  - { memory: 3T, cpus: 0 }\n",
      "machine.yaml:1: nodes: 805306270 pages are more than the 536838144 that hetmem's memmap can hold: use less than 2T of memory",
    ],
  ])("%j is refused in one line", (text, expected) => {
    if (typeof expected === "string") expect(complaint(text)).toContain(expected);
    else expect(complaint(text)).toMatch(expected);
  });

  test.each([
    "nodes: [null]\n",
    "nodes:\n  - { memory: -1, cpus: 0 }\n",
    "nodes:\n  - { memory: 4.5G, cpus: 0 }\n",
    "nodes:\n  - { memory: 1G, cpus: 0-99999999999 }\n",
    "nodes:\n  - { memory: 1G, cpus: [0, -1] }\n",
    "nodes:\n  - { id: 4096, memory: 1G, cpus: 0 }\n",
    "nodes:\n  - { cpus: 0 }\n",
    `${good}block_size: 0\n`,
    `${good}physical_bits: 99\n`,
    `${good}pci_hole: { start: 3G, end: 2G }\n`,
    `${good}options: { kconfig: 5 }\n`,
    `${good}options: { movable_node: maybe }\n`,
    "- nodes\n",
    "just a text\n",
  ])("%j is refused with its line and what to write instead", (text) => {
    expect(complaint(text)).toMatch(/^machine\.yaml:\d+: .{20,}/);
  });

  test.each([
    "kernelcore: 1G",
    "movablecore: 1G",
    "kernelcore: 1G, movable_node: false",
    "movable_node: true",
  ])("%s alone is no mistake", (options) => {
    expect(complaint(`${good}options: { ${options} }\n`)).toBe("accepted");
  });

  test("everything that is wrong is said at once", () => {
    expect(complaint("profile: v9\nnodes:\n  - { memory: 4X, cpus: 0 }\n").split("\n")).toHaveLength(2);
  });
});
