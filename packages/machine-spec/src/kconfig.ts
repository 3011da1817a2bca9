// Kernel options. A spec may say which CONFIG_ names its kernel was built with, or without: each adds or removes a part of the
// machine. A set that Kconfig would never produce is refused, with the reason. Kernel counterpart: scripts/kconfig.
import { nearestName } from "@hetmem/kernel";
import { KCONFIG_RULES, type KconfigRule } from "./kconfig-rules.ts";
import type { SpecProblem } from "./problem.ts";

/** Options with a part in a machine. */
export const KCONFIG_NAMES = [
  "ARCH_MEMORY_PROBE",
  "CGROUPS",
  "DEVICE_PRIVATE",
  "DEVICE_PUBLIC",
  "DEV_DAX",
  "DEV_DAX_HMEM",
  "DEV_DAX_KMEM",
  "GUP_TEST",
  "HMM_MIRROR",
  "HUGETLB_PAGE",
  "MEMCG",
  "MEMCG_KMEM",
  "MEMORY_FAILURE",
  "MEMORY_HOTPLUG",
  "MEMORY_HOTPLUG_DEFAULT_ONLINE",
  "MEMORY_HOTREMOVE",
  "MHP_MEMMAP_ON_MEMORY",
  "NUMA_BALANCING",
  "NVDIMM_DAX",
  "NVDIMM_PFN",
  "PSI",
  "SWAP",
  "TEST_HMM",
  "TRANSPARENT_HUGEPAGE",
  "ZONE_DEVICE",
] as const;
export type KconfigName = (typeof KCONFIG_NAMES)[number];

/** Options that every kernel has which hetmem models: it is a model of x86-64 with several nodes. */
const FOUNDATION = [
  "64BIT",
  "X86_64",
  "MMU",
  "NUMA",
  "SPARSEMEM",
  "SPARSEMEM_VMEMMAP",
  "MIGRATION",
  "ARCH_ENABLE_MEMORY_HOTPLUG",
  "ARCH_ENABLE_MEMORY_HOTREMOVE",
  "ARCH_MHP_MEMMAP_ON_MEMORY_ENABLE",
  "ARCH_HAS_PTE_DEVMAP",
];
/** Options without a file, an errno or a page of their own in a machine. The rules hold for them, too. */
const UNSEEN = ["DEFERRED_STRUCT_PAGE_INIT", "NEED_PER_CPU_KM", "SMP", "FS_DAX"];

/** Options that a list of names needn't have for the rules: it must name SPARSEMEM_VMEMMAP, and others that kernels differ in. */
const GIVEN = new Set([
  ...FOUNDATION.filter((name) => name !== "SPARSEMEM_VMEMMAP"),
  "CGROUPS",
  "TRANSPARENT_HUGEPAGE",
]);

const NAMES: ReadonlySet<string> = new Set([...KCONFIG_NAMES, ...FOUNDATION, ...UNSEEN]);

/** An entry of `options.kconfig`: CONFIG_X, X or X=y, X=m, X=n. */
interface Said {
  readonly option: string;
  readonly value: string;
  /** Position in the list. */
  readonly index: number;
}

/**
 * One problem for each option that hetmem doesn't know, or can't be without, that is set without one it needs, or together with one
 * it forbids.
 *
 * @param names `CONFIG_X`, `X`, `X=y` or `X=m` for one that is set, `X=n` for one that isn't
 */
export function checkKconfig(names: readonly string[]): SpecProblem[] {
  const said = names.map(parse);
  const set = new Set([...GIVEN, ...said.filter(isSet).map(({ option }) => option)]);
  for (const each of said) if (!isSet(each)) set.delete(each.option);
  const problems = said.flatMap((each) => {
    const message = unusable(each);
    return message === undefined ? [] : [{ path: pathOf(each), message }];
  });
  const broken = KCONFIG_RULES.flatMap((rule) => {
    const by = said.findLast(({ option }) => option === rule.option);
    const message = by && set.has(rule.option) ? breachOf(rule, set) : undefined;
    return by && message !== undefined ? [{ path: pathOf(by), message }] : [];
  });
  return [...problems, ...broken];
}

/**
 * The options of a kernel: those of its release, with what a spec adds and removes. What needs a removed option goes, too, unless the
 * spec has it.
 *
 * @param names as checkKconfig() takes them, and found to be right
 * @param release the options of the release
 */
export function kernelConfig(
  names: readonly string[],
  release: ReadonlySet<KconfigName>,
): ReadonlySet<KconfigName> {
  const said = names.map(parse);
  const set = new Set<KconfigName>(release);
  for (const each of said) {
    const { option } = each;
    if (!isKconfigName(option)) continue;
    if (isSet(each)) set.add(option);
    else set.delete(option);
  }
  removeDependents(set);
  return set;
}

/** Removes each option that needs one with a part that isn't set, until none is left. */
function removeDependents(set: Set<KconfigName>): void {
  const lost = KCONFIG_RULES.find(
    ({ option, needs }) =>
      isKconfigName(option) &&
      set.has(option) &&
      needs !== undefined &&
      isKconfigName(needs) &&
      !set.has(needs),
  );
  if (!lost || !isKconfigName(lost.option)) return;
  set.delete(lost.option);
  removeDependents(set);
}

export function isKconfigName(name: string): name is KconfigName {
  return (KCONFIG_NAMES as readonly string[]).includes(name);
}

function parse(text: string, index: number): Said {
  const [option = "", value = "y"] = text.replace(/^CONFIG_/, "").split("=");
  return { option, value, index };
}

function isSet({ value }: Said): boolean {
  return value !== "n";
}

function pathOf({ index }: Said): SpecProblem["path"] {
  return ["options", "kconfig", index];
}

/** The problem of an entry by itself. */
function unusable({ option, value }: Said): string | undefined {
  if (!NAMES.has(option)) {
    const nearest = nearestName(option, [...NAMES]);
    const meant = nearest === undefined ? "" : ` (did you mean CONFIG_${nearest}?)`;
    return `CONFIG_${option} is no option of a machine${meant}; remove it, or write one of ${KCONFIG_NAMES.join(", ")}`;
  }
  if (!["y", "m", "n"].includes(value)) return `CONFIG_${option}=${value} can't be; write y, m or n`;
  if (value === "n" && FOUNDATION.includes(option))
    return `CONFIG_${option} is set on every kernel that hetmem models; remove ${option}=n`;
  return undefined;
}

function breachOf(
  { option, needs, forbids, reason }: KconfigRule,
  set: ReadonlySet<string>,
): string | undefined {
  if (forbids !== undefined && set.has(forbids))
    return `CONFIG_${option} can't be set together with CONFIG_${forbids}: ${reason}; remove one of them`;
  if (needs !== undefined && !set.has(needs))
    return `CONFIG_${option} needs CONFIG_${needs}, which is not set: ${reason}; set CONFIG_${needs} or remove CONFIG_${option}`;
  return undefined;
}
