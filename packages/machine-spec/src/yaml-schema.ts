// The schema of a machine in a YAML file, with a sentence for each way in which a value doesn't fit it. Sizes and lists come out as
// numbers; limits.ts checks whether the numbers make a machine.
import { KernelError, memparse, parseIdList, plainText } from "@hetmem/kernel";
import * as v from "valibot";
import { NODES_MAX } from "./limits.ts";
import { CGROUP_FEATURES, ONLINE_TYPES, PROFILE_NAMES } from "./machine-spec.ts";
import type { SpecPath, SpecProblem } from "./problem.ts";

/** Letters of a name, a path or a command. @see PATH_MAX in include/uapi/linux/limits.h */
const TEXT_LENGTH_MAX = 4096;
/** Pieces of memory that firmware hands over in the boot parameters. @see E820_MAX_ENTRIES_ZEROPAGE in arch/x86/include/uapi/asm/bootparam.h */
const PIECES_MAX = 128;
const DEVICES_MAX = 256;
const GPUS_MAX = 64;
const RULES_MAX = 1000;
const SIZE_FIX = "write a number, then K, M, G or T";
/** Letters of a value that are quoted in a complaint. */
const QUOTED_MAX = 60;
const PLACEMENTS = ["strict", "any-order", "auto-movable"] as const;

/** A number of bytes: 4096, "128M", 0x100000000. */
const size = parsed((input) => {
  const bytes = typeof input === "number" || typeof input === "string" ? memparse(String(input)) : undefined;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}, `is not a size; ${SIZE_FIX}`);

/** CPU numbers: 0, "0-3,8", [0, 1]. */
const cpus = parsed((input) => {
  if (Array.isArray(input))
    return input.every((cpu) => Number.isInteger(cpu) && cpu >= 0) ? (input as number[]) : undefined;
  // A range is written out in full: none so long as to fill the memory.
  if (/\d{6}/.test(String(input))) return undefined;
  return typeof input === "number" || typeof input === "string" ? parseIdList(String(input)) : undefined;
}, "is not a list of CPUs; write one like 0-3,8");

const distance = parsed(
  (input) => (typeof input === "number" ? input : undefined),
  "is not a distance; write a number, 10 for the node itself",
);
const count = parsed(
  (input) => (Number.isSafeInteger(input) && Number(input) >= 0 ? Number(input) : undefined),
  "is not a whole number",
);
/** 0 is memory that the command line set aside. */
const modules = parsed(
  (input) => [0, 1, 2, 4, 8, 16].find((ways) => ways === input),
  "can't be: memory is interleaved over 1, 2, 4, 8 or 16 modules; write one of these",
);
const text = parsed((input) => {
  const words = typeof input === "string" || typeof input === "number" ? String(input) : undefined;
  return words === undefined ||
    words.length > TEXT_LENGTH_MAX ||
    plainText(words) !== words ||
    /[\n\t]/.test(words)
    ? undefined
    : words;
}, `is not a text of one line and at most ${TEXT_LENGTH_MAX} letters`);
/** A list for cgroup_disable=: "memory", "memory,pressure". */
const cgroupFeatures = parsed(
  (input) => {
    const words = String(input).split(",");
    const known = CGROUP_FEATURES.filter((feature) => words.includes(feature));
    return known.length === words.length ? known : undefined;
  },
  `is not a list of what cgroups can do without; write ${CGROUP_FEATURES.join(" or ")}`,
);
const flag = parsed((input) => (typeof input === "boolean" ? input : undefined), "is neither true nor false");

/** Bytes from `start` up to `end`, which is the first byte behind the range, or `size` bytes from `start`. */
const range = object({ start: size, end: v.optional(size), size: v.optional(size) });
const memory = v.lazy((input) => (isObject(input) ? range : size));

const node = object({
  id: v.optional(count),
  memory: v.optional(
    v.lazy((input) => (Array.isArray(input) ? list(memory, "pieces of memory", PIECES_MAX) : memory)),
  ),
  cpus: v.optional(cpus),
  /** The node may be taken away while the machine runs. */
  hotpluggable: v.optional(flag),
});

const options = object({
  kernelcore: v.optional(size),
  movablecore: v.optional(size),
  movable_node: v.optional(flag),
  memmap_on_memory: v.optional(flag),
  memhp_default_state: v.optional(oneOf(ONLINE_TYPES)),
  placement: v.optional(oneOf(PLACEMENTS)),
  auto_movable_ratio: v.optional(count),
  auto_movable_numa_aware: v.optional(flag),
  cgroup_disable: v.optional(cgroupFeatures),
  kconfig: v.optional(list(text, "CONFIG_ names", RULES_MAX)),
});

/** A device with memory. Persistent and soft-reserved memory have a node; persistent memory has modules, too. */
const device = object({
  ...range.entries,
  name: text,
  /** The node of its memory, should it become RAM. */
  node: v.optional(count),
  /** Number of modules that persistent memory is interleaved over; 0 for memory that memmap= set aside. */
  modules: v.optional(modules),
  /** The part of the machine whose contents the platform saves on a power failure. */
  persistence_domain: v.optional(oneOf(["cpu_cache", "memory_controller"])),
});

const latency = object({ setup_ns: count, kib_ns: count, flush_ns: count });

/** A device that works on the memory of processes, through their own addresses. */
const gpu = object({
  name: v.optional(text),
  /** "coherent" if the cpu can access the memory. */
  memory: v.optional(oneOf(["private", "coherent"])),
  size,
  /** First byte of coherent memory, which the firmware places. */
  start: v.optional(size),
  node: v.optional(count),
  policy: v.optional(text),
  latency: v.optional(v.lazy((input) => (isObject(input) ? latency : oneOf(["none", "pcie"])))),
});

/** A command that udev runs for a new device. */
const rule = object({ device: text, run: text });

const swapArea = object({ path: text, size, priority: v.optional(count) });

export const machineFile = object({
  name: v.optional(text),
  profile: v.optional(oneOf(PROFILE_NAMES)),
  release: v.optional(text),
  block_size: v.optional(size),
  physical_bits: v.optional(count),
  direct_map_bits: v.optional(count),
  /** Bytes of memory at most, with boot memory and all that is added later. */
  max_memory: v.optional(size),
  /** The range below 4 GiB that PCI devices have; "none" for memory without a hole. */
  pci_hole: v.optional(v.lazy((input) => (isObject(input) ? range : oneOf(["none"])))),
  nodes: list(node, "nodes", NODES_MAX),
  distances: v.optional(list(list(distance, "distances", NODES_MAX), "rows of distances", NODES_MAX)),
  hidden: v.optional(list(object({ ...range.entries, node: v.optional(count) }), "ranges", PIECES_MAX)),
  devices: v.optional(list(device, "devices", DEVICES_MAX)),
  gpus: v.optional(list(gpu, "gpus", GPUS_MAX)),
  rules: v.optional(list(rule, "rules", RULES_MAX)),
  options: v.optional(options),
  /** The version of cgroups that is mounted. */
  cgroup: v.optional(oneOf(["v1", "v2"])),
  /** Swap areas that are in use once the machine is up. */
  swap: v.optional(list(swapArea, "swap areas", RULES_MAX)),
  /** Names of /proc/sys with dots, as in /etc/sysctl.conf. */
  sysctl: v.optional(
    v.record(v.string(), count, (issue) => `${quote(issue.input)} is not a group of names and values`),
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

/** A value that `read` can convert; `read` returns undefined or throws a KernelError for others. */
function parsed<T>(read: (input: unknown) => T | undefined, complaint: string) {
  return v.pipe(
    v.unknown(),
    v.rawTransform<unknown, T>(({ dataset, addIssue, NEVER }) => {
      const value = unlessRefused(() => read(dataset.value));
      if (value !== undefined) return value;
      addIssue({ message: `${quote(dataset.value)} ${complaint}` });
      return NEVER;
    }),
  );
}

function oneOf<const T extends readonly string[]>(values: T) {
  return v.picklist(
    values,
    (issue) =>
      `${quote(issue.input)} is not known; write ${values.join(", ").replace(/, (?=[^,]*$)/, " or ")}`,
  );
}

/** @param max entries at most */
function list<const S extends v.GenericSchema>(item: S, of: string, max: number) {
  return v.pipe(
    v.array(item, (issue) => `${quote(issue.input)} is not a list of ${of}; write each behind a dash`),
    v.maxLength(max, ({ input }) => `${input.length} ${of} are too many; write at most ${max}`),
  );
}

function object<const E extends v.ObjectEntries>(entries: E) {
  return v.strictObject(entries, (issue) => {
    const keys = Object.keys(entries).join(", ");
    if (issue.expected === "never") return `nothing is called so here; the names are ${keys}`;
    if (issue.input === undefined) return "is missing, and it is needed";
    if (issue.input === null) return `nothing is here; the names are ${keys}`;
    return `${quote(issue.input)} is not a group of names and values; the names are ${keys}`;
  });
}

function isObject(input: unknown): boolean {
  return typeof input === "object" && input !== null && !Array.isArray(input);
}

function quote(input: unknown): string {
  const isText = typeof input === "string";
  // A text is quoted on one line, as JSON writes it; of a long one the end is missing, and is not escaped in half.
  const shown = isText && input.length > QUOTED_MAX ? input.slice(0, QUOTED_MAX) : input;
  // JSON has no word for .inf and .nan of YAML.
  const whole = typeof shown === "number" ? String(shown) : (JSON.stringify(shown) ?? "nothing");
  if (isText) return shown === input ? whole : `${whole.slice(0, -1)}…"`;
  return whole.length > QUOTED_MAX ? `${whole.slice(0, QUOTED_MAX)}…` : whole;
}

function unlessRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
