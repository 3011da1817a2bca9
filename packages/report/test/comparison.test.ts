import { describe, expect, test } from "vitest";
import { captureHost, type Host } from "@hetmem/host-capture";
import { compareWithHost, hostComparisonLines } from "../src/host-comparison.ts";
import { createPaint } from "../src/paint.ts";
import { type MachineView, viewOf } from "../src/view.ts";
import { captureWith, zoneText } from "@hetmem/test-machines/tree-with";

const { spec, host } = captureHost(captureWith({}), "v6.1");
const same = viewOf(spec, host);
const booted: MachineView = { ...same, zones: same.zones.filter((zone) => zone.name !== "Device") };

function why(view: MachineView, ofHost: Host, name: string): string {
  return compareWithHost(view, ofHost).find((pair) => pair.name === name)?.why ?? "absent";
}

describe("the machine beside its host", () => {
  test("a total that is equal needs no reason", () => {
    expect(compareWithHost(same, host).map((pair) => pair.why)).toEqual(["", "", "", "", "", ""]);
    expect(
      hostComparisonLines(same, host, 200, createPaint(false)).filter((line) => line.endsWith("equal")),
    ).toHaveLength(6);
  });

  test("a device zone that only the host has is put down to its drivers", () => {
    expect(why(booted, host, "spanned")).toMatch(
      /^node 1's Device has 131072 pages \(512 MiB\) there and 0 pages \(0 B\) here: a driver of the host/,
    );
    expect(why(booted, host, "present")).toBe("");
  });

  test("pages that MemTotal counts and zones don't manage are put down to late initialisation or a balloon", () => {
    const zones = [
      zoneText(0, "DMA", 1, { spanned: 4095, present: 3998, managed: 3840 }),
      zoneText(0, "DMA32", 4096, { spanned: 258048, managed: 250000 }),
      zoneText(1, "DMA32", 262144, { spanned: 262110, managed: 100000 }),
    ].join("");
    const late = captureHost(
      captureWith({ "/proc/zoneinfo": zones, "/proc/meminfo": `MemTotal: ${(353840 + 155000) * 4} kB\n` }),
      "v6.1",
    );
    const view = viewOf(late.spec, late.host);
    const followsMemTotal = {
      ...view,
      zones: view.zones.map((zone) => (zone.node === 1 ? { ...zone, managed: 255000, free: 255000 } : zone)),
    };
    expect(why(followsMemTotal, late.host, "managed")).toMatch(
      /^the host's MemTotal counts 155000 pages \(605 MiB\) that its zones do not manage yet/,
    );
    expect(why(followsMemTotal, late.host, "free")).toBe(
      "what the machine manages beyond the host's zones is free in it.",
    );
  });

  test("free pages on the lists of CPUs are named when they make the difference", () => {
    const onLists = host.zoneinfo.zones.reduce(
      (sum, zone) => sum + zone.pcp.reduce((count, list) => count + list, 0),
      0,
    );
    const view = {
      ...same,
      zones: same.zones.map((zone, index) => (index === 1 ? { ...zone, free: zone.free + onLists } : zone)),
    };
    expect(why(view, host, "free")).toContain(`the host has ${onLists} pages`);
  });

  test("what boot memory keeps is said even when all is equal", () => {
    expect(hostComparisonLines(same, host, 200, createPaint(false)).join("\n")).toContain(
      "MemTotal is less than the RAM by 29731 pages (116 MiB)",
    );
  });
});
