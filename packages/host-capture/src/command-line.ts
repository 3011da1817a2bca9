// Boot options of a host that shape its memory, from /proc/cmdline and from the files that show their effect.
// Kernel counterparts: cmdline_parse_kernelcore() in mm/page_alloc.c, mm/memory_hotplug.c.
import { KernelError, memparse } from "@hetmem/kernel";
import { CGROUP_FEATURES, type KernelOptions, ONLINE_TYPES } from "@hetmem/machine-spec";
import type { HostTree } from "./tree.ts";

const PARAMETERS = "/sys/module/memory_hotplug/parameters";

/**
 * Reads the options.
 *
 * @param ramBytes bytes of RAM, for options that are a percentage
 * @param notices gets a sentence for each option that hetmem can't model
 */
export function readOptions(tree: HostTree, ramBytes: number, notices: string[]): KernelOptions {
  const words = (tree.read("/proc/cmdline") ?? "").trim().split(/\s+/);
  const last = (name: string): string | undefined =>
    words
      .filter((word) => word.startsWith(`${name}=`))
      .at(-1)
      ?.slice(name.length + 1);
  const kernelcore = amount("kernelcore", last("kernelcore"), ramBytes, notices);
  const movablecore = amount("movablecore", last("movablecore"), ramBytes, notices);
  const state = (
    tree.read("/sys/devices/system/memory/auto_online_blocks") ?? last("memhp_default_state")
  )?.trim();
  const defaultState = ONLINE_TYPES.find((known) => known === state);
  const parameter = (name: string): string | undefined =>
    (tree.read(`${PARAMETERS}/${name}`) ?? last(`memory_hotplug.${name}`))?.trim();
  const disabled = last("cgroup_disable")?.split(",") ?? [];
  const cgroupDisable = CGROUP_FEATURES.filter((feature) => disabled.includes(feature));
  const memmap = parameter("memmap_on_memory");
  const ratio = parameter("auto_movable_ratio");
  const numaAware = parameter("auto_movable_numa_aware");
  return {
    ...(kernelcore !== undefined && { kernelcore }),
    ...(movablecore !== undefined && { movablecore }),
    ...(words.includes("movable_node") && { movable_node: true }),
    ...(memmap !== undefined && { memmap_on_memory: isYes(memmap) }),
    ...(parameter("online_policy") === "auto-movable" && { placement: "auto-movable" as const }),
    ...(ratio !== undefined && { auto_movable_ratio: Number(ratio) }),
    ...(numaAware !== undefined && { auto_movable_numa_aware: isYes(numaAware) }),
    ...(cgroupDisable.length > 0 && { cgroup_disable: cgroupDisable }),
    ...(defaultState && { memhp_default_state: defaultState }),
  };
}

function isYes(text: string): boolean {
  return /^(y|1|on|force)/i.test(text);
}

function amount(
  name: string,
  text: string | undefined,
  ramBytes: number,
  notices: string[],
): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+%$/.test(text)) return Math.floor((ramBytes * Number(text.slice(0, -1))) / 100 / 4096) * 4096;
  try {
    return memparse(text);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    notices.push(
      `The host was booted with ${name}=${text}, which hetmem does not model: its zones are placed as if it weren't there.`,
    );
    return undefined;
  }
}
