import { createKernel, GiB, nodeId, physAddr } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import {
  type BootConfig,
  bootMemory,
  buildAllZonelists,
  type Memory,
  type Zone,
  ZoneType,
} from "../src/index.ts";
import { bootHost } from "./captured-host.ts";

function boot(
  nodes: readonly { readonly gib: number; readonly cpus: number }[],
  distances: BootConfig["distances"] = [],
): Memory {
  let next = 0;
  let cpu = 0;
  return bootMemory(createKernel(), {
    nodes: nodes.map(({ gib, cpus }, id) => {
      const start = next;
      next += gib * GiB;
      const memory = gib > 0 ? [{ start: physAddr(start), end: physAddr(next) }] : [];
      return { id: nodeId(id), cpus: Array.from({ length: cpus }, () => cpu++), memory };
    }),
    distances,
    physicalBits: 46,
    maxPages: (64 * GiB) / 4096,
    reserved: [],
  });
}

function order(memory: Memory, node: number): string[] {
  return (memory.nodes[node]?.zonelists.fallback ?? []).map((zone) => `${zone.node} ${zone.name}`);
}

/** What the memory of a block does to a zone, as far as zonelists care. */
function plugIn(zone: Zone | undefined, pages: number): void {
  if (!zone) throw new Error("no such zone");
  zone.spannedPages += pages;
  zone.presentPages += pages;
  zone.managedPages += pages;
}

function logged(memory: Memory, what: () => void): string[] {
  const before = memory.kernel.log.records.length;
  what();
  return memory.kernel.log.records.slice(before).map(({ text }) => text);
}

describe("a request looks", () => {
  test("in its node from the highest zone down, then in the next nearest", () => {
    const memory = boot([
      { gib: 6, cpus: 1 },
      { gib: 2, cpus: 1 },
    ]);
    expect(order(memory, 0)).toEqual(["0 Normal", "0 DMA32", "0 DMA", "1 Normal"]);
    expect(order(memory, 1)).toEqual(["1 Normal", "0 Normal", "0 DMA32", "0 DMA"]);
    expect(memory.nodes[0]?.zonelists.thisNode.map(({ name }) => name)).toEqual(["Normal", "DMA32", "DMA"]);
  });

  test("at a nearer node first, whatever its number", () => {
    const nodes = Array.from({ length: 3 }, () => ({ gib: 5, cpus: 1 }));
    const memory = boot(nodes, [
      [10, 30, 20],
      [30, 10, 20],
      [20, 20, 10],
    ]);
    expect(
      memory.nodes[0]?.zonelists.fallback
        .map(({ node }) => node)
        .filter((node, i, all) => node !== all[i - 1]),
    ).toEqual([0, 2, 1]);
  });

  test("at a node without cpus before one with cpus that is as near", () => {
    const memory = boot([
      { gib: 5, cpus: 1 },
      { gib: 5, cpus: 1 },
      { gib: 5, cpus: 0 },
    ]);
    expect(order(memory, 0).map((zone) => zone[0])).toEqual(["0", "0", "0", "2", "1"]);
  });

  test("at nodes that are as near in turns, so that not all lean on the same", () => {
    const nodes = Array.from({ length: 4 }, () => ({ gib: 5, cpus: 1 }));
    const memory = boot(nodes, [
      [10, 20, 20, 20],
      [20, 10, 20, 20],
      [20, 20, 10, 20],
      [20, 20, 20, 10],
    ]);
    const lines = memory.kernel.log.records
      .map(({ text }) => text)
      .filter((text) => text.startsWith("Fallback"));
    expect(lines).toEqual([
      "Fallback order for Node 0: 0 1 2 3 ",
      "Fallback order for Node 1: 1 2 3 0 ",
      "Fallback order for Node 2: 2 3 0 1 ",
      "Fallback order for Node 3: 3 0 1 2 ",
    ]);
  });

  test("at no ZONE_DEVICE, and at no zone without memory", () => {
    const memory = boot([{ gib: 1, cpus: 1 }]);
    const device = memory.nodes[0]?.zones[ZoneType.Device];
    if (device) device.spannedPages = 131_072;
    buildAllZonelists(memory);
    expect(order(memory, 0)).toEqual(["0 DMA32", "0 DMA"]);
  });
});

// These lines are those of the host's dmesg, in shared/oracle/hotplug/probe.txt and shared/oracle/dax.
describe("the log says", () => {
  test("what it does when a zone gets its first memory", () => {
    const memory = bootHost("hidden-ram");
    plugIn(memory.nodes[0]?.zones[ZoneType.Movable], 32_768);
    expect(logged(memory, () => buildAllZonelists(memory))).toEqual([
      "Fallback order for Node 0: 0 1 ",
      "Fallback order for Node 1: 1 0 ",
      "Fallback order for Node 2: 2 0 1 ",
      "Built 2 zonelists, mobility grouping on.  Total pages: 501852",
      "Policy zone: DMA32",
    ]);
  });

  test("one line of a node that is about to come online", () => {
    const memory = bootHost("hidden-ram");
    expect(logged(memory, () => buildAllZonelists(memory, nodeId(2)))).toEqual([
      "Fallback order for Node 2: 2 0 1 ",
      "Built 2 zonelists, mobility grouping on.  Total pages: 469084",
      "Policy zone: DMA32",
    ]);
  });

  test("a node that has just lost its last memory once more, and then no longer", () => {
    const memory = bootHost("hidden-ram");
    const node = memory.nodes[2];
    const movable = node?.zones[ZoneType.Movable];
    if (!node) throw new Error("no node 2");
    node.online = true;
    plugIn(movable, 32_768);
    buildAllZonelists(memory);
    plugIn(movable, -32_768);
    const [leaving] = logged(memory, () => buildAllZonelists(memory));
    expect(leaving).toBe("Fallback order for Node 0: 0 1 2 ");
    expect(order(memory, 0)).not.toContain("2 Movable");
    const [gone] = logged(memory, () => buildAllZonelists(memory));
    expect(gone).toBe("Fallback order for Node 0: 0 1 ");
  });

  test("Normal as the policy zone for good once there was memory in it", () => {
    const memory = bootHost("hidden-ram");
    const normal = memory.nodes[0]?.zones[ZoneType.Normal];
    plugIn(normal, 32_768);
    expect(logged(memory, () => buildAllZonelists(memory)).at(-1)).toBe("Policy zone: Normal");
    plugIn(normal, -32_768);
    expect(logged(memory, () => buildAllZonelists(memory)).at(-1)).toBe("Policy zone: Normal");
  });
});
