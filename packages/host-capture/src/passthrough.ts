// Files of a host that no package models, and that lsmem, lscpu and hwloc read beside those of memory: CPU topology and caches,
// /proc/cpuinfo, /proc/cmdline, /proc/version. The machine shows them read-only, as they were captured.
import { plainText } from "@hetmem/kernel";
import type { Passthrough } from "@hetmem/machine-spec";
import type { HostTree } from "./tree.ts";

const CPU = "/sys/devices/system/cpu";
const CPU_LISTS = ["kernel_max", "offline", "online", "possible", "present"];

/** Collects them. */
export function readPassthrough(tree: HostTree): Passthrough {
  const files = new Map<string, string>();
  const take = (path: string): void => {
    const text = tree.read(path);
    if (text !== undefined) files.set(path, plainText(text));
  };
  take("/proc/cpuinfo");
  take("/proc/cmdline");
  take("/proc/version");
  for (const list of CPU_LISTS) take(`${CPU}/${list}`);
  for (const cpu of tree.list(CPU).filter((name) => /^cpu\d+$/.test(name))) {
    take(`${CPU}/${cpu}/online`);
    for (const file of tree.list(`${CPU}/${cpu}/topology`)) take(`${CPU}/${cpu}/topology/${file}`);
    for (const index of tree.list(`${CPU}/${cpu}/cache`).filter((name) => name.startsWith("index"))) {
      for (const file of tree.list(`${CPU}/${cpu}/cache/${index}`))
        take(`${CPU}/${cpu}/cache/${index}/${file}`);
    }
  }
  return files;
}
