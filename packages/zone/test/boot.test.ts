import {
  assertInvariants,
  createKernel,
  GiB,
  KernelError,
  MiB,
  nodeId,
  type Pfn,
  physAddr,
  TiB,
} from "@hetmem/kernel";
import { PageFlag, SectionFlag } from "@hetmem/page";
import { describe, expect, test } from "vitest";
import {
  allZones,
  type BootConfig,
  bootMemory,
  type BootNode,
  GFP_HIGHUSER_MOVABLE,
  type Memory,
  memoryInvariants,
  MigrateType,
  type Zone,
  type ZoneName,
} from "../src/index.ts";
import { bootHost, fixture, type HostName, hostConfig, parseZoneinfo } from "./captured-host.ts";

const at = physAddr;
const N0 = nodeId(0);
const N1 = nodeId(1);

function boot(nodes: readonly BootNode[], rest: Partial<BootConfig> = {}): Memory {
  const config = {
    nodes,
    distances: [],
    physicalBits: 46,
    maxPages: (64 * GiB) / 4096,
    reserved: [],
    ...rest,
  };
  return bootMemory(createKernel(), config);
}

function oneNode(
  ranges: readonly (readonly [start: number, end: number])[],
  rest: Partial<BootConfig> = {},
): Memory {
  return boot(
    [{ id: N0, cpus: [0], memory: ranges.map(([start, end]) => ({ start: at(start), end: at(end) })) }],
    rest,
  );
}

function zoneOf(memory: Memory, name: ZoneName, node = 0): Zone {
  const zone = memory.nodes[node]?.zones.find((candidate) => candidate.name === name);
  if (!zone) throw new Error(`no zone ${name}`);
  return zone;
}

/** Start, end and present pages of a zone, in MiB where whole. */
function sizes(memory: Memory, name: ZoneName, node = 0): [start: number, end: number, present: number] {
  const zone = zoneOf(memory, name, node);
  return zone.empty ? [0, 0, 0] : [zone.startPfn / 256, zone.endPfn / 256, zone.presentPages / 256];
}

/** Section 0 is shared: DMA has its first frame, DMA32 a later one. */
function touchAll(memory: Memory, sections: readonly number[]): void {
  for (const section of sections) {
    for (const zone of allZones(memory)) {
      for (const offset of [0, 8192]) zone.deferred.touch(zone, (section * 32_768 + offset) as Pfn);
    }
  }
}

function freeBlocks(memory: Memory): number[] {
  return [...allZones(memory)].flatMap((zone) => [
    ...zone.free.pagesOfType,
    zone.free.blocks(10, MigrateType.Movable),
  ]);
}

describe("zones of a captured host", () => {
  test.each(["hidden-ram", "baseline"] satisfies HostName[])(
    "%s: start, spanned, present and managed are the host's",
    (host) => {
      const memory = bootHost(host);
      for (const { node, name, values } of parseZoneinfo(fixture(host, "zoneinfo"))) {
        if (name === "Device") continue;
        const zone = zoneOf(memory, name, node);
        expect([name, zone.spannedPages, zone.presentPages, zone.managedPages]).toEqual([
          name,
          values.get("spanned"),
          values.get("present"),
          values.get("managed"),
        ]);
        if (zone.populated) expect(zone.startPfn).toBe(values.get("start_pfn"));
      }
    },
  );

  test("dmesg says what the host's said of the zones", () => {
    const text = bootHost("baseline").kernel.log.records.map((record) => record.text);
    expect(text).toEqual([
      "Zone ranges:",
      "  DMA      [mem 0x0000000000001000-0x0000000000ffffff]",
      "  DMA32    [mem 0x0000000001000000-0x000000007ffddfff]",
      "  Normal   empty",
      "  Device   empty",
      "Movable zone start for each node",
      "Early memory node ranges",
      "  node   0: [mem 0x0000000000001000-0x000000000009efff]",
      "  node   0: [mem 0x0000000000100000-0x000000003fffffff]",
      "  node   1: [mem 0x0000000040000000-0x000000007ffddfff]",
      "Initmem setup node 0 [mem 0x0000000000001000-0x000000003fffffff]",
      "Initmem setup node 1 [mem 0x0000000040000000-0x000000007ffddfff]",
      "Initializing node 2 as memoryless",
      "Initmem setup node 2 as memoryless",
      "Fallback order for Node 0: 0 1 ",
      "Fallback order for Node 1: 1 0 ",
      "Fallback order for Node 2: 2 0 1 ",
      "Built 2 zonelists, mobility grouping on.  Total pages: 515806",
      "Policy zone: DMA32",
    ]);
  });

  test("nodes with memory or cpus are online, possible ones are not", () => {
    expect(bootHost("hidden-ram").nodes.map((node) => node?.online)).toEqual([true, true, false]);
  });
});

describe("where zones end", () => {
  test("DMA at 16 MiB, DMA32 at 4 GiB, and a hole in between is spanned but not present", () => {
    const memory = oneNode([
      [0, 3 * GiB],
      [4 * GiB, 6 * GiB],
    ]);
    expect(sizes(memory, "DMA")).toEqual([0, 16, 16]);
    expect(sizes(memory, "DMA32")).toEqual([16, 4096, 3056]);
    expect(sizes(memory, "Normal")).toEqual([4096, 6144, 2048]);
    assertInvariants(memory, memoryInvariants);
  });

  test("a node that begins above 4 GiB has nothing but Normal", () => {
    const memory = boot([
      { id: N0, cpus: [0], memory: [{ start: at(0), end: at(4 * GiB) }] },
      { id: N1, cpus: [], memory: [{ start: at(6 * GiB), end: at(8 * GiB) }] },
    ]);
    expect(memory.nodes[1]?.zones.filter((zone) => !zone.empty).map(({ name }) => name)).toEqual(["Normal"]);
    expect(sizes(memory, "Normal", 1)).toEqual([6144, 8192, 2048]);
  });

  test("kernelcore= leaves its size to the kernel and the rest of the highest zone to Movable", () => {
    const memory = oneNode([[0, 8 * GiB]], { kernelcore: 5 * GiB });
    expect(sizes(memory, "Normal")).toEqual([4096, 5120, 1024]);
    expect(sizes(memory, "Movable")).toEqual([5120, 8192, 3072]);
    assertInvariants(memory, memoryInvariants);
  });

  test("kernelcore= is spread over the nodes, and what a small node can't hold goes to the others", () => {
    const nodes = [
      { id: N0, cpus: [0], memory: [{ start: at(0), end: at(6 * GiB) }] },
      { id: N1, cpus: [1], memory: [{ start: at(6 * GiB), end: at(14 * GiB) }] },
    ];
    // Node 0 gives its first 4 GiB whatever is asked of it, so that 2 GiB each are met there at once.
    const memory = boot(nodes, { kernelcore: 4 * GiB });
    expect(sizes(memory, "Movable")).toEqual([4096, 6144, 2048]);
    expect(sizes(memory, "Movable", 1)).toEqual([6144, 14336, 8192]);
  });

  test("a node that is all the kernel's has no Movable zone, and the others make up for what it lacks", () => {
    const nodes = [
      { id: N0, cpus: [0], memory: [{ start: at(0), end: at(8 * GiB) }] },
      { id: N1, cpus: [1], memory: [{ start: at(8 * GiB), end: at(9 * GiB) }] },
    ];
    const memory = boot(nodes, { kernelcore: 6 * GiB });
    expect(sizes(memory, "Movable")).toEqual([5120, 8192, 3072]);
    expect(sizes(memory, "Movable", 1)).toEqual([0, 0, 0]);
  });

  test("what is left of kernelcore= once it is spread evenly, less than a page a node, is nobody's", () => {
    const nodes = [
      { id: N0, cpus: [0], memory: [{ start: at(0), end: at(8 * GiB) }] },
      { id: N1, cpus: [1], memory: [{ start: at(8 * GiB), end: at(16 * GiB) }] },
    ];
    const memory = boot(nodes, { kernelcore: 12 * GiB + 4096 });
    expect(sizes(memory, "Movable")).toEqual([6144, 8192, 2048]);
    expect(sizes(memory, "Movable", 1)).toEqual([14336, 16384, 2048]);
  });

  test("movablecore= takes its size from the end, spread over the nodes", () => {
    const memory = oneNode([[0, 8 * GiB]], { movablecore: GiB });
    expect(sizes(memory, "Movable")).toEqual([7168, 8192, 1024]);
  });

  test("there is no Movable zone when kernelcore= is more than there is", () => {
    expect(sizes(oneNode([[0, 8 * GiB]], { kernelcore: 9 * GiB }), "Movable")).toEqual([0, 0, 0]);
  });

  test("movable_node makes hotpluggable memory Movable and ignores the sizes", () => {
    const memory = boot(
      [
        { id: N0, cpus: [0], memory: [{ start: at(0), end: at(6 * GiB) }] },
        { id: N1, cpus: [1], memory: [{ start: at(6 * GiB), end: at(8 * GiB), hotpluggable: true }] },
      ],
      { movable_node: true, kernelcore: GiB },
    );
    expect(sizes(memory, "Movable")).toEqual([0, 0, 0]);
    expect(sizes(memory, "Normal", 1)).toEqual([0, 0, 0]);
    expect(sizes(memory, "Movable", 1)).toEqual([6144, 8192, 2048]);
    expect(memory.movableNode).toBe(true);
  });

  test("a node's own start of Movable wins over the options", () => {
    const node = {
      id: N0,
      cpus: [0],
      memory: [{ start: at(0), end: at(8 * GiB) }],
      movableFrom: at(6 * GiB),
    };
    expect(sizes(boot([node], { kernelcore: 7 * GiB }), "Movable")).toEqual([6144, 8192, 2048]);
  });
});

describe("what is reserved", () => {
  test("is first the kernel's image, then the top of the zone, as much as was measured", () => {
    const memory = bootHost("hidden-ram");
    const free = (address: number): boolean =>
      memory.memblock
        .freePfnRanges()
        .some(({ start, end }) => address / 4096 >= start && address / 4096 < end);
    expect(free(0x0100_0000)).toBe(false);
    expect(free(0x01b0_0000)).toBe(true);
    expect(free(0x3fff_f000)).toBe(false);
    expect(free(0x3800_0000)).toBe(true);
    expect(free(0x7ffd_d000)).toBe(false);
    expect(free(0x4000_0000)).toBe(true);
  });

  test("the first MiB always is", () => {
    expect(zoneOf(oneNode([[0, GiB]]), "DMA").managedPages).toBe(4096 - 256);
  });

  test("a zone that was measured to reserve less gives back from the top", () => {
    const memory = oneNode([[0, GiB]], {
      reserved: [{ start: at(32 * MiB), end: at(64 * MiB) }],
      zones: [{ node: N0, zone: "DMA32", reservedPages: 4096 }],
    });
    expect(memory.memblock.reserved.map(({ base, end }) => [base, end])).toEqual([
      [0, MiB],
      [32 * MiB, 48 * MiB],
    ]);
  });

  test("reserved pages and the holes beside memory are reserved in the zone that spans them", () => {
    const memory = bootHost("hidden-ram");
    const dma = zoneOf(memory, "DMA");
    dma.deferred.touch(dma, 0 as Pfn);
    const { memmap } = memory;
    for (const frame of [0, 1, 0x9f, 0xff]) {
      const page = memmap.pfnToPage(frame as Pfn);
      expect([
        frame,
        memmap.test(page, PageFlag.reserved),
        memmap.refcount(page),
        memmap.zoneOf(page),
      ]).toEqual([frame, true, 1, 0]);
    }
    expect(memmap.test(memmap.pfnToPage(0x100 as Pfn), PageFlag.reserved)).toBe(false);
  });

  test("a zone can't reserve more than it has", () => {
    const zones = [{ node: N0, zone: "DMA32" as const, reservedPages: 1e6 }];
    expect(() => oneNode([[0, GiB]], { zones })).toThrow(
      /EINVAL: zone DMA32 of node 0 reserves 1000000 pages and has 258048/,
    );
  });
});

describe("what the firmware may not say", () => {
  test("memory in two nodes", () => {
    const overlapping = [
      { id: N0, cpus: [0], memory: [{ start: at(0), end: at(GiB) }] },
      { id: N1, cpus: [1], memory: [{ start: at(GiB / 2), end: at(2 * GiB) }] },
    ];
    expect(() => boot(overlapping)).toThrow(KernelError);
  });

  test("more memory than the memmap was sized for", () => {
    expect(() => oneNode([[0, 2 * GiB]], { maxPages: GiB / 4096 })).toThrow(/ENOMEM/);
  });
});

describe("deferred struct pages", () => {
  test("a terabyte boots without touching one", () => {
    const memory = oneNode([[0, TiB]], {
      maxPages: (2 * TiB) / 4096 - 32_768,
      zones: [{ node: N0, zone: "Normal", reservedPages: 4e6 }],
    });
    const { sections } = memory.memmap;
    expect(sections.presentCount).toBe(8192);
    expect(sections.present().filter((section) => sections.has(section, SectionFlag.initialised))).toEqual(
      [],
    );
    expect(zoneOf(memory, "Normal").freePages).toBe(TiB / 4096 - GiB - 4e6 + (GiB - (4 * GiB) / 4096));
  });

  test("sections are taken from the lowest up, as on a machine that lists them all at boot", () => {
    const memory = bootHost("hidden-ram");
    const dma32 = zoneOf(memory, "DMA32", 1);
    const page = memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, N1);
    expect(memory.memmap.pageToPfn(page)).toBeLessThan(0x40000 + 1024);
    expect(dma32.deferred.has(0x40000 as Pfn)).toBe(false);
    expect(dma32.deferred.has(0x48000 as Pfn)).toBe(true);
    assertInvariants(memory, memoryInvariants);
  });

  test("every free page can be had, and given back leaves the zones as they were", () => {
    const memory = oneNode([[0, 256 * MiB]], {
      reserved: [{ start: at(200 * MiB + 4096), end: at(201 * MiB) }],
    });
    const before = [...allZones(memory)].map((zone) => [zone.freePages, zone.managedPages]);
    for (const zone of allZones(memory)) while (zone.deferred.grow(zone));
    assertInvariants(memory, memoryInvariants);
    expect([...allZones(memory)].map((zone) => [zone.freePages, zone.managedPages])).toEqual(before);
    expect(
      [...allZones(memory)].map((zone) => zone.free.pagesOfType.reduce((sum, pages) => sum + pages)),
    ).toEqual(before.map(([free]) => free));
  });

  test("the pageblock whose first frame isn't memory is not movable", () => {
    const memory = oneNode([
      [0x1000, 0x9_f000],
      [0x10_0000, GiB],
    ]);
    const { memmap, allocator } = memory;
    expect(allocator.pageblocks.get(memmap.pfnToPage(0x100 as Pfn))).toBe(MigrateType.Unmovable);
    expect(allocator.pageblocks.get(memmap.pfnToPage(0x200 as Pfn))).toBe(MigrateType.Movable);
  });

  test("a captured host's zones are the same whichever section is looked at first", () => {
    const low = bootMemory(createKernel(), hostConfig("baseline"));
    const high = bootMemory(createKernel(), hostConfig("baseline"));
    const all = low.memmap.sections.present();
    touchAll(low, all);
    touchAll(high, all.toReversed());
    expect([...allZones(low)].map((zone) => zone.deferred.pages)).toEqual(
      Array.from({ length: 15 }, () => 0),
    );
    expect(freeBlocks(low)).toEqual(freeBlocks(high));
    assertInvariants(high, memoryInvariants);
  });
});
