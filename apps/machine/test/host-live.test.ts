import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readHost } from "../src/host/host.ts";
import { captureHost } from "../src/host/capture.ts";
import { liveHost, vfsTree } from "../src/host/tree.ts";
import { createMachine } from "../src/machine.ts";

const iomem = existsSync("/proc/iomem") ? readFileSync("/proc/iomem", "utf8") : "";
const readable = existsSync("/proc/zoneinfo") && /^[0-9a-f]*[1-9a-f][0-9a-f]*-/m.test(iomem);

describe("the host that we run on", () => {
  test.skipIf(!readable)(
    "its RAM has exactly the pages that its zones have present (needs root on Linux)",
    () => {
      const { spec, host } = captureHost(liveHost(), "v5.1");
      const pages = spec.nodes
        .flatMap((node) => node.memory)
        .reduce((sum, range) => sum + (range.end - range.start) / 4096, 0);
      expect(pages).toBe(host.zoneinfo.zones.reduce((sum, zone) => sum + zone.present, 0));
    },
  );

  test.skipIf(!readable)("present less reserved pages are its MemTotal (needs root on Linux)", () => {
    const { spec, host } = captureHost(liveHost(), "v5.1");
    const present = host.zoneinfo.zones.reduce((sum, zone) => sum + zone.present, 0);
    const reserved = spec.bootUsage.reduce((sum, usage) => sum + usage.reservedPages, 0);
    expect((present - reserved) * 4).toBe(host.meminfo.get("MemTotal"));
  });

  test.skipIf(!readable)(
    "the machine made of it has its spanned and present pages and its MemTotal (needs root on Linux)",
    () => {
      const { spec, host } = captureHost(liveHost(), "v6.1");
      const machine = readHost(vfsTree("machine", createMachine(spec).vfs));
      const sums = ({ zoneinfo, meminfo }: typeof host) => ({
        spanned: zoneinfo.zones.reduce((sum, zone) => sum + zone.spanned, 0),
        present: zoneinfo.zones.reduce((sum, zone) => sum + zone.present, 0),
        memTotal: meminfo.get("MemTotal"),
      });
      expect(sums(machine)).toEqual(sums(host));
    },
  );
});
