import { GiB, MiB } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import { BUNDLED_CAPTURES } from "../src/node/bundled.ts";
import { captureHost } from "../src/capture.ts";
import { openTree } from "../src/node/open-tree.ts";
import { captureWith, captureWithOfflineKmem, treeOf, zoneText } from "@hetmem/test-machines/tree-with";

const hiddenRam = captureHost(openTree(BUNDLED_CAPTURES["hidden-ram"]), "v6.1");

/** The error of a capture with these changes. */
function refusal(changes: Record<string, string | undefined>): string {
  try {
    captureHost(captureWith(changes), "v5.1");
  } catch (error) {
    return String(error);
  }
  return "accepted";
}

describe("a machine made of a captured host", () => {
  test("each node has the System RAM of its memory blocks, as whole pages", () => {
    expect(hiddenRam.spec.nodes).toEqual([
      {
        id: 0,
        cpus: [0],
        memory: [
          { start: 0x1000, end: 0x9f000 },
          { start: MiB, end: GiB },
        ],
      },
      { id: 1, cpus: [1], memory: [{ start: GiB, end: 0x7ffde000 }] },
      { id: 2, cpus: [], memory: [] },
    ]);
  });

  test("distances to nodes that are not online come from the firmware", () => {
    expect(hiddenRam.spec.distances).toEqual([
      [10, 21, 40],
      [21, 10, 41],
      [40, 41, 10],
    ]);
    const { spec } = captureHost(captureWith({ "/sys/firmware": undefined }), "v6.1");
    expect(spec.distances).toEqual([
      [10, 21, 20],
      [21, 10, 20],
      [20, 20, 10],
    ]);
  });

  test("memory that the firmware has and /proc/iomem doesn't show is hidden memory", () => {
    expect(hiddenRam.spec.hidden).toEqual([{ start: 4 * GiB, end: 7 * GiB, node: 2 }]);
    expect(captureHost(openTree(BUNDLED_CAPTURES.nvdimm), "v6.1").spec.hidden).toEqual([]);
  });

  test("block size, address width, release and options are the host's", () => {
    expect(hiddenRam.spec).toMatchObject({
      blockSize: 128 * MiB,
      physicalBits: 40,
      release: "6.1.192-oracle",
      profile: "v6.1",
    });
    expect(hiddenRam.spec.options).toEqual({
      memmap_on_memory: false,
      memhp_default_state: "offline",
      auto_movable_ratio: 301,
      auto_movable_numa_aware: true,
    });
    const { spec } = captureHost(
      captureWith({ "/proc/cmdline": "quiet kernelcore=25% movable_node\n" }),
      "v6.1",
    );
    expect(spec.options).toMatchObject({ movable_node: true, kernelcore: expect.closeTo(0x1ffe_0000, -6) });
  });

  test("reserved, used and free pages of each zone add up to its present ones", () => {
    const { zones } = hiddenRam.host.zoneinfo;
    for (const usage of hiddenRam.spec.bootUsage) {
      const zone = zones.find((candidate) => candidate.node === usage.node && candidate.name === usage.zone);
      if (!zone) throw new Error(`the capture has no zone ${usage.zone} on node ${usage.node}`);
      const onCpus = zone.pcp.reduce((sum, count) => sum + count, 0);
      expect(usage.reservedPages + usage.unmovablePages + usage.movablePages + zone.free + onCpus).toBe(
        zone.present,
      );
      expect(usage.reservedPages).toBe(zone.present - zone.managed);
    }
    expect(hiddenRam.spec.bootUsage[1]).toMatchObject({ node: 0, zone: "DMA32", movablePages: 4320 });
  });

  test("a block that spans two nodes is split where the affinity table, or else a zone, ends", () => {
    const border = 0x3c00_0000;
    const base = openTree(BUNDLED_CAPTURES["hidden-ram"]);
    const shared = {
      ...base,
      list: (path: string) => [
        ...base.list(path),
        ...(path === "/sys/devices/system/node/node1" ? ["memory7"] : []),
      ],
    };
    const zones = [
      zoneText(0, "DMA", 1, { spanned: 4095, present: 3998 }),
      zoneText(0, "DMA32", 4096, { spanned: border / 4096 - 4096 }),
      zoneText(1, "DMA32", border / 4096, { spanned: (0x7ffde000 - border) / 4096 }),
    ];
    expect(captureHost(shared, "v6.1").spec.nodes[1]?.memory[0]?.start, "the affinity table").toBe(GiB);
    const tree = captureWith({ "/proc/zoneinfo": zones.join(""), "/sys/firmware": undefined }, shared);
    const { spec } = captureHost(tree, "v6.1");
    expect(spec.nodes[0]?.memory.at(-1)).toEqual({ start: MiB, end: border });
    expect(spec.nodes[1]?.memory).toEqual([{ start: border, end: 0x7ffde000 }]);
  });

  test("memory in blocks that are offline is kept out of the boot memory, to be added again", () => {
    const { spec } = captureHost(
      captureWith({ "/sys/devices/system/memory/memory12/state": "offline\n" }),
      "v6.1",
    );
    const [start, end] = [12 * 128 * MiB, 13 * 128 * MiB];
    expect(spec.offline).toEqual([{ start, end, node: 1 }]);
    expect(spec.nodes[1]?.memory).toEqual([
      { start: GiB, end: start },
      { start: end, end: 0x7ffde000 },
    ]);
    const ram = spec.iomem
      .filter(({ name }) => name === "System RAM")
      .map((entry) => [entry.start, entry.end]);
    expect(ram).toEqual([
      [0x1000, 0x9fbff],
      [MiB, start - 1],
      [end, 0x7ffddfff],
    ]);
  });

  test("offline memory that a driver had added is left out, and that is said", () => {
    const tree = captureWithOfflineKmem();
    const { spec, notices } = captureHost(tree, "v6.1");
    expect(spec.offline).toEqual([]);
    expect(notices.join()).toMatch(/offline memory belongs to a driver/);
  });

  test("ZONE_MOVABLE at the end of a node begins there again", () => {
    const zones = [
      zoneText(0, "DMA", 1, { spanned: 4095, present: 3998 }),
      zoneText(0, "DMA32", 4096, { spanned: 258048 }),
      zoneText(1, "Movable", 262144, { spanned: 262110 }),
    ];
    const { spec, notices } = captureHost(captureWith({ "/proc/zoneinfo": zones.join("") }), "v6.1");
    expect(spec.nodes[1]?.movableFrom).toBe(GiB);
    expect(notices).toEqual([]);
  });

  test("a ZONE_MOVABLE with kernel memory behind it is said not to be carried over", () => {
    const zones = [
      zoneText(0, "DMA", 1, { spanned: 4095, present: 3998 }),
      zoneText(0, "DMA32", 4096, { spanned: 258048 }),
      zoneText(1, "DMA32", 262144 + 32768, { spanned: 262110 - 32768 }),
      zoneText(1, "Movable", 262144, { spanned: 32768 }),
    ];
    const { spec, notices } = captureHost(captureWith({ "/proc/zoneinfo": zones.join("") }), "v6.1");
    expect(spec.nodes[1]?.movableFrom).toBeUndefined();
    expect(notices.join()).toMatch(/Node 1's Movable zone has other memory behind it/);
  });

  test("a host without NUMA and without memory blocks is one node with blocks of 128 MiB", () => {
    const tree = treeOf({
      "/proc/iomem": "00001000-0009ffff : System RAM\n00100000-1fffffff : System RAM\n",
      "/proc/zoneinfo":
        zoneText(0, "DMA", 1, { spanned: 4095, present: 3999 }) +
        zoneText(0, "DMA32", 4096, { spanned: 126976 }),
      "/proc/meminfo": "MemTotal: 523900 kB\n",
    });
    const { spec, notices } = captureHost(tree, "v5.1");
    expect(spec.nodes).toEqual([
      {
        id: 0,
        cpus: [0],
        memory: [
          { start: 0x1000, end: 0xa0000 },
          { start: MiB, end: 512 * MiB },
        ],
      },
    ]);
    expect(spec).toMatchObject({
      blockSize: 128 * MiB,
      distances: [[10]],
      release: "unknown",
      physicalBits: 46,
    });
    expect(notices.join()).toMatch(/no memory blocks/);
  });

  test("RAM that hangs below a device counts as RAM", () => {
    const iomem = `${openTree(BUNDLED_CAPTURES["hidden-ram"]).read("/proc/iomem") ?? ""}`.replace(
      "1280000000-",
      "100000000-107ffffff : Soft Reserved\n  100000000-107ffffff : dax0.0\n    100000000-107ffffff : System RAM (kmem)\n1280000000-",
    );
    const { spec } = captureHost(captureWith({ "/proc/iomem": iomem }), "v6.1");
    const ends = spec.nodes.flatMap((node) => node.memory.map((range) => range.end));
    expect(ends).toContain(4 * GiB + 128 * MiB);
  });

  test("MemTotal is believed where the zones manage less, and the gap comes out of the widest reserve", () => {
    const zones = [
      zoneText(0, "DMA", 1, { spanned: 4095, present: 3998, managed: 3840 }),
      zoneText(0, "DMA32", 4096, { spanned: 258048, managed: 250000 }),
      zoneText(1, "DMA32", 262144, { spanned: 262110, managed: 100000 }),
    ];
    const managed = 3840 + 250000 + 100000 + 155000;
    const changed = captureWith({
      "/proc/zoneinfo": zones.join(""),
      "/proc/meminfo": `MemTotal: ${managed * 4} kB\n`,
    });
    expect(captureHost(changed, "v6.1").spec.bootUsage.map((usage) => usage.reservedPages)).toEqual([
      158, 8048, 7110,
    ]);
  });
});

describe("a host that can't be a machine", () => {
  test("addresses that read as zero are a matter of privilege", () => {
    const zeros =
      "00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n";
    expect(() => captureHost(captureWith({ "/proc/iomem": zeros }), "v5.1")).toThrow(
      "EPERM: capture: proc/iomem shows every address as zero to readers without privilege: read it as root",
    );
  });

  test("a file that is missing or garbled is named, with what it is for", () => {
    expect(refusal({ "/proc/zoneinfo": undefined })).toMatch(
      /ENOENT: capture: proc\/zoneinfo is missing, and it holds the zones/,
    );
    const nodeZero =
      zoneText(0, "DMA", 1, { spanned: 4095, present: 3998 }) +
      zoneText(0, "DMA32", 4096, { spanned: 520158 });
    expect(refusal({ "/proc/zoneinfo": nodeZero })).toMatch(
      /EINVAL: capture: proc\/zoneinfo has no zones of node 1/,
    );
    expect(refusal({ "/proc/iomem": undefined })).toMatch(/ENOENT: capture: proc\/iomem is missing/);
    expect(refusal({ "/proc/iomem": "" })).toMatch(/EINVAL: capture: proc\/iomem is empty/);
    expect(refusal({ "/proc/iomem": "00001000-0009fbff : System RAM\nrubbish\n" })).toMatch(
      /EINVAL: capture: proc\/iomem: line 2 "rubbish"/,
    );
    expect(refusal({ "/sys/devices/system/memory/block_size_bytes": "lots\n" })).toMatch(
      /EINVAL: capture: sys.*block_size_bytes: "lots"/,
    );
    expect(refusal({ "/sys/devices/system/memory/memory4/state": "on\n" })).toMatch(
      /EINVAL: capture: sys.*memory4\/state says "on"/,
    );
    expect(refusal({ "/sys/devices/system/node/online": "0 to 3\n" })).toMatch(
      /EINVAL: capture: sys.*node\/online: "0 to 3" is not a list/,
    );
    expect(refusal({ "/sys/devices/system/node/node0/distance": "10\n" })).toMatch(
      /EINVAL: capture: sys.*node0\/distance/,
    );
  });

  test("several nodes in zoneinfo need the folder that says what is theirs", () => {
    expect(refusal({ "/sys/devices/system/node": undefined })).toBe(
      "KernelError: ENOENT: capture: sys/devices/system/node is missing, and it holds which memory and CPUs each of the 2 nodes in proc/zoneinfo has: capture it again with sys/devices/system/node in it",
    );
  });

  test("a kernel with larger pages is refused, for its pages are not ours", () => {
    const zones = zoneText(0, "DMA", 0, { spanned: 2 ** 15 });
    expect(() => captureHost(captureWith({ "/proc/zoneinfo": zones }), "v5.1")).toThrow(
      /^EOPNOTSUPP: .*counts pages of about 64 KiB/,
    );
  });
});
