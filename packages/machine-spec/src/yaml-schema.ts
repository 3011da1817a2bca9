// The schema of a machine in a YAML file, with the sentence that documents each name. The JSON Schema for editors and the
// reference in docs/machine-file.md are drawn from it; limits.ts checks whether the numbers make a machine.
import * as v from "valibot";
import { DEFAULT_DIRECT_MAP_BITS, DEFAULT_PHYSICAL_BITS, DEFAULT_PROFILE } from "./defaults.ts";
import { NODES_MAX } from "./limits.ts";
import { ONLINE_TYPES, PROFILE_NAMES } from "./machine-spec.ts";
import type { SpecPath, SpecProblem } from "./problem.ts";
import {
  cgroupFeatures,
  count,
  cpus,
  described,
  distance,
  flag,
  isObject,
  list,
  modules,
  numbers,
  object,
  oneOf,
  size,
  text,
} from "./yaml-values.ts";

/** Pieces of memory that firmware hands over in the boot parameters. @see E820_MAX_ENTRIES_ZEROPAGE in arch/x86/include/uapi/asm/bootparam.h */
const PIECES_MAX = 128;
const DEVICES_MAX = 256;
const GPUS_MAX = 64;
const RULES_MAX = 1000;
const PLACEMENTS = ["strict", "any-order", "auto-movable"] as const;

const rangeEntries = {
  start: described(size, "The first byte, as a physical address."),
  end: v.optional(described(size, "The first byte behind the range. A range has either an end or a size.")),
  size: v.optional(described(size, "The length of the range in bytes, in place of an end.")),
};
const range = object(rangeEntries);
const memory = v.lazy((input) => (isObject(input) ? range : size));

const node = object({
  id: v.optional(
    described(
      count,
      "The number of the node. Numbers rise from node to node; without them nodes are counted from 0.",
    ),
  ),
  memory: v.optional(
    described(
      v.lazy((input) => (Array.isArray(input) ? list(memory, "pieces of memory", PIECES_MAX) : memory)),
      "RAM of the node, in bytes: a size, which is laid out behind the memory before it and around the PCI hole, a range, or a list of sizes and ranges. A node without memory waits for hotplug.",
    ),
  ),
  cpus: v.optional(
    described(cpus, "The CPUs of the node: 0, 0-3,8 or [0, 1]. Without it the node has none."),
  ),
  hotpluggable: v.optional(
    described(
      flag,
      "Whether the firmware may take the node away while the machine runs. With the option movable_node its memory is ZONE_MOVABLE.",
      false,
    ),
  ),
});

const options = object({
  kernelcore: v.optional(
    described(
      size,
      "Bytes of memory of the whole machine that stay outside of ZONE_MOVABLE; the rest of each node is in it.",
    ),
  ),
  movablecore: v.optional(
    described(size, "Bytes of memory of the whole machine that are ZONE_MOVABLE at least."),
  ),
  movable_node: v.optional(
    described(
      flag,
      "Whether memory of hotpluggable nodes is ZONE_MOVABLE; kernelcore and movablecore must be absent then.",
      false,
    ),
  ),
  memmap_on_memory: v.optional(
    described(
      flag,
      "Whether the struct pages of memory that is added live in that memory, where the kernel allows it.",
      false,
    ),
  ),
  memhp_default_state: v.optional(
    described(
      oneOf(ONLINE_TYPES),
      "The state of memory blocks after they are added: auto_online_blocks of /sys/devices/system/memory.",
      "offline",
    ),
  ),
  placement: v.optional(
    described(
      oneOf(PLACEMENTS),
      "The policy by which a memory block that goes online gets its zone. Without it the one of the profile holds.",
    ),
  ),
  auto_movable_ratio: v.optional(
    described(
      count,
      "Percent of movable memory to kernel memory that the placement auto-movable allows.",
      301,
    ),
  ),
  auto_movable_numa_aware: v.optional(
    described(flag, "Whether the ratio of auto-movable must hold on each node, too.", true),
  ),
  cgroup_disable: v.optional(
    described(
      cgroupFeatures,
      "Features of cgroups that are off: without memory no page is charged, without pressure no stall time is counted.",
    ),
  ),
  kconfig: v.optional(
    described(
      list(text, "CONFIG_ names", RULES_MAX),
      "Options of Kconfig: CONFIG_X, X or X=y for one that is set, X=n for one that isn't. Combinations that Kconfig forbids are refused.",
    ),
  ),
});

const device = object({
  ...rangeEntries,
  name: described(
    text,
    "Its line in /proc/iomem. Persistent Memory is a region of modules with namespaces, Soft Reserved a dax region that can be divided; any other name is no more than that line.",
  ),
  node: v.optional(
    described(
      count,
      "The node of its memory, should it become RAM. It must be one of nodes. Without it the firmware names none.",
    ),
  ),
  modules: v.optional(
    described(
      modules,
      "Modules that persistent memory is interleaved over; 0 for memory that memmap= set aside.",
      1,
    ),
  ),
  persistence_domain: v.optional(
    described(
      oneOf(["cpu_cache", "memory_controller"]),
      "The part of the machine whose contents the platform saves on a power failure. Without it the firmware doesn't say.",
    ),
  ),
});

const latency = object({
  setup_ns: described(count, "Nanoseconds of simulated time before each transfer."),
  kib_ns: described(count, "Nanoseconds for each KiB of a transfer."),
  flush_ns: described(count, "Nanoseconds of an invalidation of the device's page table."),
});

const gpu = object({
  name: v.optional(
    described(
      text,
      "Its file in /dev and its line in /proc/iomem: small letters, digits, - and _. Without it gpus are called gpu0, gpu1 and so on.",
    ),
  ),
  memory: v.optional(
    described(
      oneOf(["private", "coherent"]),
      "Whether the cpu reaches the memory of the device: coherent; or the device alone does: private.",
      "private",
    ),
  ),
  size: described(size, "Bytes of memory of the device, in whole pages."),
  start: v.optional(
    described(
      size,
      "The first byte of coherent memory, which the firmware places, at a multiple of 2M. Without it the memory is in the highest free region of the physical address space.",
    ),
  ),
  node: v.optional(described(count, "The nearest node. Without it the node of the first CPU.")),
  policy: v.optional(
    described(
      text,
      "When pages migrate to the device: map-in-place, migrate-on-touch, prefetch-64K (blocks of that size), migrate-after-3 (misses in a block of 64 KiB), or the name of a policy that the machine is given. Without it the first of the machine's policies holds.",
    ),
  ),
  latency: v.optional(
    described(
      v.lazy((input) => (isObject(input) ? latency : oneOf(["none", "pcie"]))),
      "Simulated time of transfers: none, pcie for PCI Express 4 with 16 lanes, or a group of numbers.",
      "none",
    ),
  ),
});

const rule = object({
  device: described(
    text,
    "The name of the device: dax0.0, or dax* for several. The first rule that matches a device holds.",
  ),
  run: described(text, "The command: a line of the shell."),
});

const swapArea = object({
  path: described(text, "The file of the area, such as /dev/vdb. Each area has its own."),
  size: described(size, "Bytes of the area: ten pages at least."),
  priority: v.optional(
    described(
      count,
      "The area with the highest priority is filled first. Without it priorities are below 0, falling in the order of the list.",
    ),
  ),
});

const hidden = object({
  ...rangeEntries,
  node: v.optional(
    described(
      count,
      "The node that the firmware's affinity table has for it. Writing to the file probe ignores it, as in the kernel.",
    ),
  ),
});

export const machineFile = object({
  name: v.optional(
    described(text, "The name of the machine, for messages. Without it the name of the file."),
  ),
  profile: v.optional(
    described(oneOf(PROFILE_NAMES), "The kernel release whose rules apply.", DEFAULT_PROFILE),
  ),
  release: v.optional(
    described(text, "The answer of uname -r. Without it the release of the profile, as in 6.1.0-hetmem."),
  ),
  block_size: v.optional(
    described(
      size,
      "Bytes of a memory block: a power of two from 128M to 64G. Without it 2G if memory ends at 64G or above and each piece of it begins and ends at multiples of 2G, else 128M.",
    ),
  ),
  physical_bits: v.optional(described(count, "Bits of a physical address: 32 to 52.", DEFAULT_PHYSICAL_BITS)),
  direct_map_bits: v.optional(
    described(
      count,
      "Bits of physical addresses that the kernel's direct map reaches: 46 with four levels of page tables, 52 with five.",
      DEFAULT_DIRECT_MAP_BITS,
    ),
  ),
  max_memory: v.optional(
    described(
      size,
      "Bytes at most of boot memory, device memory and all that is added later. Without it 64G more than the machine has at boot.",
    ),
  ),
  pci_hole: v.optional(
    described(
      v.lazy((input) => (isObject(input) ? range : oneOf(["none"]))),
      "The range below 4G that PCI devices have and RAM is laid out around, or none. Without it the last GiB, unless some memory is given by ranges.",
    ),
  ),
  nodes: described(
    list(node, "nodes", NODES_MAX),
    "The NUMA nodes, also those that have no memory until it is added.",
  ),
  distances: v.optional(
    described(
      list(list(distance, "distances", NODES_MAX), "rows of distances", NODES_MAX),
      "A row for each node, with a number for each: 10 to itself, up to 255 to others. Without it 10 and 20.",
    ),
  ),
  hidden: v.optional(
    described(
      list(hidden, "ranges", PIECES_MAX),
      "Memory that the firmware map leaves out and that may be probed, in whole memory blocks. Without it every range above the boot memory may be probed.",
    ),
  ),
  devices: v.optional(
    described(
      list(device, "devices", DEVICES_MAX),
      "Ranges that aren't RAM at boot: persistent memory, memory that the firmware set aside, and other lines of /proc/iomem.",
    ),
  ),
  gpus: v.optional(
    described(
      list(gpu, "gpus", GPUS_MAX),
      "Devices that work on the memory of processes through their own addresses, with memory of their own.",
    ),
  ),
  rules: v.optional(
    described(
      list(rule, "rules", RULES_MAX),
      "Commands that run when a dax device appears, as those of udev do, also after a reboot.",
    ),
  ),
  options: v.optional(described(options, "Options of the kernel command line and of Kconfig.")),
  cgroup: v.optional(
    described(
      oneOf(["v1", "v2"]),
      "The version of cgroups that is mounted: v2 has all controllers in one hierarchy, v1 has memory alone.",
      "v2",
    ),
  ),
  swap: v.optional(
    described(list(swapArea, "swap areas", RULES_MAX), "Swap areas that are in use once the machine is up."),
  ),
  sysctl: v.optional(
    described(
      numbers(),
      "Values for files of /proc/sys, written once the machine is up, by names as in /etc/sysctl.conf: vm.swappiness.",
    ),
  ),
});

export type MachineFile = v.InferOutput<typeof machineFile>;
export type RangeWish = v.InferOutput<typeof range>;

/** Reads a value of any kind against the schema. */
export function readMachineFile(
  input: unknown,
): { readonly file: MachineFile } | { readonly problems: readonly SpecProblem[] } {
  const result = v.safeParse(machineFile, input);
  if (result.success) return { file: result.output };
  return { problems: result.issues.map((issue) => ({ path: pathOf(issue), message: issue.message })) };
}

function pathOf(issue: v.BaseIssue<unknown>): SpecPath {
  return (issue.path ?? []).map((item) => (typeof item.key === "number" ? item.key : String(item.key)));
}
