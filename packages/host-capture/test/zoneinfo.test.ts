import { describe, expect, test } from "vitest";
import { BUNDLED_CAPTURES } from "../src/node/bundled.ts";
import { openTree } from "../src/node/open-tree.ts";
import { parseZoneinfo } from "../src/zoneinfo.ts";

const captured = openTree(BUNDLED_CAPTURES["hidden-ram"]).read("/proc/zoneinfo") ?? "";

describe("/proc/zoneinfo", () => {
  test("every zone of every node is read, empty ones too", () => {
    const { zones } = parseZoneinfo(captured);
    expect(zones.map((zone) => `${zone.node}/${zone.name}`)).toEqual(
      [0, 1].flatMap((node) =>
        ["DMA", "DMA32", "Normal", "Movable", "Device"].map((name) => `${node}/${name}`),
      ),
    );
    expect(zones[1]).toMatchObject({ startPfn: 4096, spanned: 258048, present: 258048, managed: 249469 });
    expect(zones[2]).toMatchObject({ startPfn: 0, spanned: 0, present: 0, managed: 0, free: 0 });
  });

  test("the counters of a node are kept apart from those of its first zone", () => {
    const { zones, nodeStats } = parseZoneinfo(captured);
    expect([...nodeStats.keys()]).toEqual([0, 1]);
    expect(nodeStats.get(zones[0]?.node ?? -1)?.get("nr_slab_unreclaimable")).toBeGreaterThan(0);
    expect(zones[0]?.stats.has("nr_slab_unreclaimable")).toBe(false);
    expect(zones[6]?.stats.get("nr_zone_inactive_anon")).toBe(68);
  });

  test("the watermark called high is the zone's, not that of a CPU's list", () => {
    const zone = parseZoneinfo(captured).zones[6];
    expect(zone).toMatchObject({ min: 8225, low: 10281, high: 12337, pcp: [2434, 298] });
  });

  test("a file that is cut short names the zone and the counter that is missing", () => {
    const cut = captured.slice(0, captured.indexOf("spanned", captured.indexOf("Node 1, zone    DMA32")));
    expect(() => parseZoneinfo(cut, "cap: proc/zoneinfo")).toThrow(
      'EINVAL: cap: proc/zoneinfo: zone DMA32 of node 1 has no "spanned" line, so the file is cut short: capture it again',
    );
  });

  test("a line that no kernel prints is refused by its number", () => {
    const lines = captured.split("\n");
    lines[4] = "\u0000\u0001 rubbish";
    expect(() => parseZoneinfo(lines.join("\n"))).toThrow(
      /^EINVAL: \/proc\/zoneinfo:5: .* is not a line of zoneinfo/,
    );
    expect(() => parseZoneinfo("")).toThrow("EINVAL: /proc/zoneinfo is empty");
    expect(() => parseZoneinfo("  pages free 5\n")).toThrow(
      /^EINVAL: \/proc\/zoneinfo:1: a line "Node N, zone NAME" must come first/,
    );
  });
});
