// Migration policies: the range to migrate to the device on a miss of the engine, and the range to migrate back on a
// cpu fault. A device is created with a policy; the driver migrates only what it returns. A policy may have state, and
// is then one device's. Kernel counterpart: specific to each driver (svm_range_best_restore_location() in
// drivers/gpu/drm/amd/amdkfd/kfd_svm.c).
import {
  alignDown,
  isAligned,
  KernelError,
  memparse,
  nearestName,
  PAGE_SIZE,
  type VirtAddr,
} from "@hetmem/kernel";

/** A miss: the engine needs [start, end) and has no entry for `start`. */
export interface Miss {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  readonly write: boolean;
  /** Number of misses in the 64 KiB block of `start`, including this one. */
  readonly misses: number;
}

/** A range to migrate. The driver clips it to mappings. */
export interface Placement {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
}

export interface MigrationPolicy {
  /** The name in machine files, the log and debugfs. */
  readonly name: string;
  /** The range to migrate to the device on a miss; undefined to map the pages in place. */
  onMiss(miss: Miss): Placement | undefined;
  /** The range to migrate back on a cpu fault at `address`; must contain that page. */
  onCpuTouch(address: VirtAddr): Placement;
}

/** Policies that differ in a number, which is the end of their names. */
export interface MigrationPolicyFamily {
  /** A name of the family, for messages: "prefetch-64K". */
  readonly example: string;
  /** The policy with a name; undefined for a name of no policy of the family. */
  named(name: string): MigrationPolicy | undefined;
}

/** A policy that a machine file can name, or a family of them. */
export type MigrationPolicyChoice = MigrationPolicy | MigrationPolicyFamily;

/** Pages stay in place; the device accesses them over the bus. */
export const mapInPlace: MigrationPolicy = {
  name: "map-in-place",
  onMiss: () => undefined,
  onCpuTouch: onePage,
};

/** Pages migrate to the device at its first access. */
export const migrateOnTouch: MigrationPolicy = {
  name: "migrate-on-touch",
  onMiss: ({ start, end }) => ({ start: pageOf(start), end }),
  onCpuTouch: onePage,
};

/**
 * Whole blocks migrate in both directions.
 *
 * @param bytes block size, a multiple of the page size
 */
export function prefetchBlocks(bytes: number): MigrationPolicy {
  const around = (start: VirtAddr, end: VirtAddr): Placement => ({
    start: alignDown(start, bytes) as VirtAddr,
    end: (alignDown(end - 1, bytes) + bytes) as VirtAddr,
  });
  return {
    name: `prefetch-${bytes / 1024}k`,
    onMiss: ({ start, end }) => around(start, end),
    onCpuTouch: (address) => around(address, (address + PAGE_SIZE) as VirtAddr),
  };
}

/** Pages migrate after a number of misses in their 64 KiB block, as with access counters. */
export function migrateAfter(misses: number): MigrationPolicy {
  return {
    name: `migrate-after-${misses}`,
    onMiss: (miss) => (miss.misses >= misses ? { start: pageOf(miss.start), end: miss.end } : undefined),
    onCpuTouch: onePage,
  };
}

/** prefetchBlocks() by name: "prefetch-64K", in whole pages. */
export const prefetchFamily: MigrationPolicyFamily = {
  example: "prefetch-64K",
  named(name) {
    const [, block] = /^prefetch-(\d+[km])$/i.exec(name) ?? [];
    if (block === undefined) return undefined;
    const bytes = memparse(block);
    return bytes > 0 && isAligned(bytes, PAGE_SIZE) ? prefetchBlocks(bytes) : undefined;
  },
};

/** migrateAfter() by name: "migrate-after-3", one miss at least. */
export const migrateAfterFamily: MigrationPolicyFamily = {
  example: "migrate-after-3",
  named(name) {
    const [, misses] = /^migrate-after-(\d+)$/.exec(name) ?? [];
    return misses !== undefined && Number(misses) > 0 ? migrateAfter(Number(misses)) : undefined;
  },
};

/** The policies of this package, to spread among others. The first is that of a device for which none is named. */
export const standardMigrationPolicies: readonly MigrationPolicyChoice[] = [
  mapInPlace,
  migrateOnTouch,
  prefetchFamily,
  migrateAfterFamily,
];

/**
 * The policy with a name: the first of the choices that has it.
 *
 * @throws KernelError EINVAL for a name that no choice has; the sentence has the nearest, and lists what there is
 */
export function migrationPolicyNamed(
  name: string,
  choices: readonly MigrationPolicyChoice[],
): MigrationPolicy {
  for (const choice of choices) {
    const policy = "named" in choice ? choice.named(name) : choice.name === name ? choice : undefined;
    if (policy) return policy;
  }
  const known = choices.map((choice) => ("named" in choice ? choice.example : choice.name));
  const nearest = nearestName(name, known);
  const meant = nearest === undefined ? "" : ` (did you mean ${nearest}?)`;
  const offer = known.length === 0 ? "there is none" : `write ${known.join(", ")}`;
  throw new KernelError("EINVAL", `"${name}" is no migration policy of this machine${meant}: ${offer}`);
}

function onePage(address: VirtAddr): Placement {
  const start = pageOf(address);
  return { start, end: (start + PAGE_SIZE) as VirtAddr };
}

function pageOf(address: VirtAddr): VirtAddr {
  return (address - (address % PAGE_SIZE)) as VirtAddr;
}
