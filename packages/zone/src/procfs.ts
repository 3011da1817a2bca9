// The files of /proc about memory. Each is rendered without sleeping, so that its numbers are of one moment. Kernel
// counterparts: mm/vmstat.c, fs/proc/meminfo.c.
import type { AttributeTable } from "@hetmem/vfs";
import { type BuildOptions, everyOption } from "./build-options.ts";
import { buddyinfoText, pagetypeinfoText } from "./buddyinfo.ts";
import { type MeminfoPort, meminfoText } from "./meminfo.ts";
import type { Memory } from "./memory.ts";
import { vmstatText } from "./vmstat-text.ts";
import { zoneinfoText } from "./zoneinfo.ts";

/**
 * @param meminfo values of /proc/meminfo that other packages keep
 * @param built the kernel's options; all when absent
 */
export function procTables(
  memory: Memory,
  meminfo: MeminfoPort = {},
  built: BuildOptions = everyOption,
): AttributeTable[] {
  return [
    {
      root: "/proc",
      files: {
        buddyinfo: { show: () => buddyinfoText(memory) },
        meminfo: { show: () => meminfoText(memory, meminfo, built) },
        pagetypeinfo: { mode: 0o400, show: () => pagetypeinfoText(memory) },
        vmstat: { show: () => vmstatText(memory, built) },
        zoneinfo: { show: () => zoneinfoText(memory, built) },
      },
    },
  ];
}
