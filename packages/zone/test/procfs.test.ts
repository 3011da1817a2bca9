// The texts of a captured host, with its counters put into a machine booted from the same firmware map: what remains to
// be equal is every name, padding and number that the kernel works out. What can't be equal is masked, by reason.
import { GiB, KernelError, run } from "@hetmem/kernel";
import { Vfs } from "@hetmem/vfs";
import { beforeEach, describe, expect, test } from "vitest";
import { type Memory, NodeStat, nodeSysfs, procTables, ZoneType } from "../src/index.ts";
import { bootHost, fixture, loadMeminfo, loadVmstat, loadZoneinfo } from "./captured-host.ts";

let memory: Memory;
let vfs: Vfs;

beforeEach(() => {
  memory = bootHost("hidden-ram");
  vfs = new Vfs();
  const port = {
    committed: () => 18_352 / 4,
    commitLimit: () => 988_848n / 4n,
    vmallocUsed: () => 9440 / 4,
    percpu: () => 432 / 4,
    vmallocTotalKiB: 13_743_895_347_199,
  };
  const blocks = {
    blocksOfNode: (node: number): number[] => Array.from({ length: 8 }, (_, i) => node * 8 + i),
    isBlockOfNode: (block: number, node: number): boolean => Math.floor(block / 8) === node,
  };
  for (const table of [...procTables(memory, port), ...nodeSysfs(memory, blocks)]) vfs.mount(table);
});

function read(path: string): string {
  return run(vfs.read(path));
}

const NODE = "/sys/devices/system/node";

/** The kernel splits its mappings as it sets permissions and guards: there are none here. */
function withoutSplits(meminfo: string): string {
  return meminfo.replaceAll(/^(DirectMap(?:4k|2M):).*$/gm, "$1 (split)");
}

/** What a running system had in use, this machine has not: numbers behind the name differ, not their columns. */
function columns(text: string): string {
  return text.replaceAll(/(?<=zone +\w+.*) +\d+(?= )/g, (count) => "#".padStart(count.length));
}

function names(text: string): string[] {
  return text.split("\n").map((line) => line.replace(/ .*/, ""));
}

function linesOfDma(text: string): string[] {
  return text.split("\n").filter((line) => /zone +DMA\b/.test(line));
}

/** Kilobytes. */
function directMap(): number {
  const sizes = [...read("/proc/meminfo").matchAll(/^DirectMap.*?(\d+) kB$/gm)];
  return sizes.reduce((sum, [, size]) => sum + Number(size), 0);
}

/** Free pages of each zone that is listed. */
function pagesInBuddyinfo(): number[] {
  const lines = read("/proc/buddyinfo").trimEnd().split("\n");
  const counts = lines.map((line) => line.trim().split(/ +/).slice(4).map(Number));
  return counts.map((blocks) => blocks.reduce((sum, count, order) => sum + count * 2 ** order, 0));
}

describe("/proc/zoneinfo", () => {
  test("is the captured one, letter by letter", () => {
    loadZoneinfo(memory, fixture("hidden-ram", "zoneinfo"));
    // The host had a ZONE_DEVICE in node 1, of a test driver's memory.
    const device = memory.nodes[1]?.zones[ZoneType.Device];
    if (device) device.spannedPages = 131_072;
    expect(read("/proc/zoneinfo")).toBe(fixture("hidden-ram", "zoneinfo"));
  });

  test("leaves nodes out that are not online", () => {
    expect(read("/proc/zoneinfo")).not.toContain("Node 2");
  });

  test("adds the boost to every watermark while it lasts", () => {
    const zone = memory.nodes[0]?.zones[ZoneType.DMA];
    if (zone) zone.watermark.boost = 100;
    expect(read("/proc/zoneinfo")).toMatch(/boost {4}100\n +min {6}232\n +low {6}265\n +high {5}298\n/);
  });
});

describe("/proc/vmstat", () => {
  test("is the captured one, letter by letter", () => {
    loadVmstat(memory, fixture("hidden-ram", "vmstat"), { node: 0, zone: "DMA32" });
    expect(read("/proc/vmstat")).toBe(fixture("hidden-ram", "vmstat"));
  });

  test("shows huge pages where their pages are counted", () => {
    const node = memory.nodes[0];
    if (node) node.stat[NodeStat.nr_anon_transparent_hugepages] = 1024;
    expect(read("/proc/vmstat")).toContain("nr_anon_transparent_hugepages 2\n");
  });
});

describe("/proc/meminfo", () => {
  test("is the captured one, but for how its mapping of memory is split", () => {
    loadMeminfo(memory, fixture("hidden-ram", "meminfo"), { node: 0, zone: "DMA32" });
    expect(withoutSplits(read("/proc/meminfo"))).toBe(withoutSplits(fixture("hidden-ram", "meminfo")));
  });

  test("maps all memory, and what was plugged in too", () => {
    const before = directMap();
    expect(before).toBe((3998 + 258_048 + 262_110) * 4);
    memory.memmap.sections.add(((4 * GiB) / 4096) as never, 32_768, 0 as never, 0);
    expect(directMap()).toBe(before + 131_072);
  });

  test("counts poisoned pages as HardwareCorrupted", () => {
    memory.counters.poisonedPages = 2;
    expect(read("/proc/meminfo")).toContain("HardwareCorrupted:     8 kB\n");
  });
});

describe("free blocks", () => {
  test("of a zone that nobody uses are listed as captured", () => {
    expect(linesOfDma(read("/proc/buddyinfo"))).toEqual(linesOfDma(fixture("hidden-ram", "buddyinfo")));
    expect(linesOfDma(read("/proc/pagetypeinfo"))).toEqual(linesOfDma(fixture("hidden-ram", "pagetypeinfo")));
  });

  test("are counted in the captured layout", () => {
    expect(columns(read("/proc/buddyinfo"))).toBe(columns(fixture("hidden-ram", "buddyinfo")));
    expect(columns(read("/proc/pagetypeinfo"))).toBe(columns(fixture("hidden-ram", "pagetypeinfo")));
  });

  test("add up to the free pages, touched or not", () => {
    expect(pagesInBuddyinfo()).toEqual([3840, 249_469, 241_116]);
    const zone = memory.nodes[1]?.zones[ZoneType.DMA32];
    if (zone) zone.deferred.grow(zone);
    expect(pagesInBuddyinfo()).toEqual([3840, 249_469, 241_116]);
  });

  test("pageblocks are as many as the zones have, by type", () => {
    expect(
      read("/proc/pagetypeinfo")
        .split("\n")
        .filter((line) => /^Node \d, zone/.test(line)),
    ).toEqual([
      "Node 0, zone      DMA            1            7            0            0            0 ",
      "Node 0, zone    DMA32            0          504            0            0            0 ",
      "Node 1, zone    DMA32            0          512            0            0            0 ",
    ]);
  });
});

describe("a node's files", () => {
  test.each([0, 1])("node %d: numastat and vmstat are the captured ones", (node) => {
    loadVmstat(memory, fixture("hidden-ram", `node${node}-vmstat`), { node, zone: "DMA32" });
    expect(read(`${NODE}/node${node}/vmstat`)).toBe(fixture("hidden-ram", `node${node}-vmstat`));
    expect(names(read(`${NODE}/node${node}/numastat`))).toEqual(
      names(fixture("hidden-ram", `node${node}-numastat`)),
    );
  });

  test.each([0, 1])("node %d: meminfo is the captured one", (node) => {
    const captured = fixture("hidden-ram", `node${node}-meminfo`);
    loadMeminfo(memory, captured, { node, zone: "DMA32" });
    expect(read(`${NODE}/node${node}/meminfo`)).toBe(captured);
  });

  test("the lists beside the nodes, their cpus and distances are the host's", () => {
    const texts = [
      "has_cpu",
      "has_generic_initiator",
      "has_memory",
      "has_normal_memory",
      "online",
      "possible",
      "uevent",
    ];
    expect(texts.map((name) => read(`${NODE}/${name}`))).toEqual([
      "0-1\n",
      "\n",
      "0-1\n",
      "0-1\n",
      "0-1\n",
      "0-2\n",
      "",
    ]);
    expect(["cpulist", "cpumap", "distance"].map((name) => read(`${NODE}/node1/${name}`))).toEqual([
      "1\n",
      "2\n",
      "21 10\n",
    ]);
  });

  test("a node's directory is as on the host", () => {
    expect(
      vfs
        .list(`${NODE}/node0`)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(
      [
        "compact",
        "cpu0",
        "cpulist",
        "cpumap",
        "distance",
        "hugepages",
        "meminfo",
        ...Array.from({ length: 8 }, (_, i) => `memory${i}`),
        "numastat",
        "power",
        "subsystem",
        "uevent",
        "vmstat",
      ].sort(),
    );
    expect(vfs.readlink(`${NODE}/node0/memory3`)).toBe("../../memory/memory3");
    expect(vfs.readlink(`${NODE}/node0/cpu0`)).toBe("../../cpu/cpu0");
    expect(vfs.readlink(`${NODE}/node0/subsystem`)).toBe("../../../../bus/node");
  });

  test("a node that is only possible has no directory until it is online", () => {
    expect(vfs.list(NODE).map(({ name }) => name)).not.toContain("node2");
    expect(() => read(`${NODE}/node2/meminfo`)).toThrow(KernelError);
    const node = memory.nodes[2];
    if (node) node.online = true;
    expect(read(`${NODE}/node2/cpulist`)).toBe("\n");
    expect(vfs.list(`${NODE}/node2`).map(({ name }) => name)).not.toContain("hugepages");
  });
});

test("a CommitLimit past 2^53 kilobytes is printed to its last digit", () => {
  const limits = new Vfs();
  for (const table of procTables(memory, { commitLimit: () => 2n ** 62n - 1n })) limits.mount(table);
  expect(run(limits.read("/proc/meminfo"))).toContain("CommitLimit:    18446744073709551612 kB\n");
});
