// The files of /proc that say how the memory is doing. Each is shown in one go, so that what it says was true at one
// moment. Kernel counterparts: mm/vmstat.c, fs/proc/meminfo.c.
import type { AttributeTable } from "@hetmem/vfs";
import { buddyinfoText, pagetypeinfoText } from "./buddyinfo.ts";
import { type MeminfoPort, meminfoText } from "./meminfo.ts";
import type { Memory } from "./memory.ts";
import { vmstatText } from "./vmstat-text.ts";
import { zoneinfoText } from "./zoneinfo.ts";

/** @param meminfo what /proc/meminfo says of parts of the kernel that aren't here */
export function procTables(memory: Memory, meminfo: MeminfoPort = {}): AttributeTable[] {
  return [
    {
      root: "/proc",
      files: {
        buddyinfo: { show: () => buddyinfoText(memory) },
        meminfo: { show: () => meminfoText(memory, meminfo) },
        pagetypeinfo: { mode: 0o400, show: () => pagetypeinfoText(memory) },
        vmstat: { show: () => vmstatText(memory) },
        zoneinfo: { show: () => zoneinfoText(memory) },
      },
    },
  ];
}
