import { createKernel, GiB, MiB, nodeId, physAddr } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import {
  bootMemory,
  initPerZoneWmarkMin,
  type Memory,
  normalThreshold,
  type Zone,
  ZoneType,
} from "../src/index.ts";
import { bootHost, fixture, type HostName, parseZoneinfo } from "./captured-host.ts";

function zoneOf(memory: Memory, node: number, type: ZoneType): Zone {
  const zone = memory.nodes[node]?.zones[type];
  if (!zone) throw new Error(`no node ${node}`);
  return zone;
}

function boot(bytes: number, cpus = 1): Memory {
  return bootMemory(createKernel(), {
    nodes: [
      {
        id: nodeId(0),
        cpus: Array.from({ length: cpus }, (_, cpu) => cpu),
        memory: [{ start: physAddr(0), end: physAddr(bytes) }],
      },
    ],
    distances: [],
    physicalBits: 46,
    maxPages: (bytes + GiB) / 4096,
    reserved: [],
  });
}

describe.each(["hidden-ram", "baseline"] satisfies HostName[])("on the captured host %s", (host) => {
  const captured = parseZoneinfo(fixture(host, "zoneinfo"));
  const memory = bootHost(host);

  test.each(captured.filter(({ values }) => values.get("managed")))(
    "node $node, $name is as low as it may get there",
    ({ node, name, values, protection }) => {
      const zone = memory.nodes[node]?.zones.find((candidate) => candidate.name === name);
      expect(zone?.watermark).toMatchObject({
        min: values.get("min"),
        low: values.get("low"),
        high: values.get("high"),
      });
      expect([...(zone?.lowmemReserve ?? [])]).toEqual(protection);
    },
  );
});

describe("after a block went online in Movable", () => {
  test("its watermarks are its share of min_free_kbytes, as captured", () => {
    const memory = bootHost("hidden-ram");
    const movable = zoneOf(memory, 0, ZoneType.Movable);
    movable.presentPages = 32_768;
    movable.managedPages = 32_768;
    initPerZoneWmarkMin(memory);
    expect(movable.watermark).toMatchObject({ min: 1050, low: 1312 });
  });

  test("lower zones keep pages from requests that could have gone there, but Movable keeps none", () => {
    const memory = bootHost("hidden-ram");
    const movable = zoneOf(memory, 0, ZoneType.Movable);
    movable.presentPages = 32_768;
    movable.managedPages = 32_768;
    initPerZoneWmarkMin(memory);
    expect([...zoneOf(memory, 0, ZoneType.DMA32).lowmemReserve]).toEqual([0, 0, 0, 128, 128]);
    expect([...movable.lowmemReserve]).toEqual([0, 0, 0, 0, 0]);
  });
});

describe("min_free_kbytes", () => {
  test("is the root of 16 times the memory where khugepaged doesn't run", () => {
    const memory = boot(256 * MiB);
    expect(memory.counters).toMatchObject({
      khugepaged: false,
      minFreeKbytes: Math.floor(Math.sqrt((65_536 - 256) * 4 * 16)),
    });
  });

  test("is what khugepaged wants where it does: eleven pageblocks for each zone of the kernel", () => {
    expect(boot(8 * GiB).counters.minFreeKbytes).toBe(3 * 11 * 2048);
  });

  test("is never more than a twentieth of the memory", () => {
    const memory = boot(512 * MiB + MiB);
    expect(memory.counters.khugepaged).toBe(true);
    expect(memory.counters.minFreeKbytes).toBeLessThan((512 * 1024) / 20);
  });
});

describe("per-cpu lists", () => {
  test("hold the low watermark together, shared by the cpus of the node", () => {
    const memory = boot(8 * GiB, 4);
    const normal = zoneOf(memory, 0, ZoneType.Normal);
    expect(normal.pcp.map(({ high, batch }) => [high, batch])).toEqual(
      Array.from({ length: 4 }, () => [Math.floor(normal.watermark.low / 4), 63]),
    );
  });

  test("of a node without cpus are shared by all cpus", () => {
    const memory = bootHost("hidden-ram");
    const movable = zoneOf(memory, 2, ZoneType.Movable);
    movable.presentPages = 32_768;
    movable.managedPages = 32_768;
    initPerZoneWmarkMin(memory);
    expect(movable.pcp[0]?.high).toBe(Math.floor(movable.watermark.low / 2));
  });
});

describe("a cpu's counters may run ahead", () => {
  test.each([
    [1, 1, 8],
    [2, 1, 16],
    [4, 3, 36],
  ])("with %d cpus and a zone of about %d GiB by %d", (cpus, gib, threshold) => {
    const memory = boot(5 * GiB, cpus);
    const zone = zoneOf(memory, 0, ZoneType.Normal);
    zone.managedPages = (gib * GiB - 64 * MiB) / 4096;
    expect(normalThreshold(memory, zone)).toBe(threshold);
  });
});
