// Memory of a host, in the machine that is made of it.
import { existsSync, readFileSync } from "node:fs";
import { captureHost, readHost, vfsTree } from "@hetmem/host-capture";
import { liveHost } from "@hetmem/host-capture/node";
import { expect, test } from "vitest";
import { captureWith, captureWithOfflineKmem } from "@hetmem/test-machines/tree-with";
import { createMachine } from "../src/machine.ts";

const iomem = existsSync("/proc/iomem") ? readFileSync("/proc/iomem", "utf8") : "";
const readable = existsSync("/proc/zoneinfo") && /^[0-9a-f]*[1-9a-f][0-9a-f]*-/m.test(iomem);

test("a block that was offline on the host is offline", () => {
  const { spec } = captureHost(
    captureWith({ "/sys/devices/system/memory/memory12/state": "offline\n" }),
    "v6.1",
  );
  expect(createMachine(spec).hotplug.blocks.get(12)?.state).toBe("offline");
});

test("offline memory that a driver of the host had added isn't there", () => {
  const tree = captureWithOfflineKmem();
  expect(createMachine(captureHost(tree, "v6.1").spec).hotplug.blocks.has(32)).toBe(false);
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
