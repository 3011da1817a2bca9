import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { captureHost } from "../src/capture.ts";
import { liveHost } from "../src/node/open-tree.ts";

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
});
