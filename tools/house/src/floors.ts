// The floors of the house: a package imports from floors below its own, never from a neighbour unless it is listed, never
// upward. docs/architecture.md says what lives where.

/** By package name: 0 is the ground. */
export const FLOORS: Readonly<Record<string, number>> = {
  "@hetmem/kernel": 0,
  "@hetmem/explore": 1,
  "@hetmem/page": 1,
  "@hetmem/resource": 1,
  "@hetmem/vfs": 1,
  "@hetmem/cgroup": 2,
  "@hetmem/page-table": 2,
  "@hetmem/zone": 2,
  "@hetmem/memremap": 3,
  "@hetmem/mmu-notifier": 3,
  "@hetmem/mm": 4,
  "@hetmem/page-cache": 4,
  "@hetmem/gup": 5,
  "@hetmem/hugetlb": 5,
  "@hetmem/khugepaged": 5,
  "@hetmem/madvise": 5,
  "@hetmem/memory-failure": 5,
  "@hetmem/migrate": 5,
  "@hetmem/proc-pid": 5,
  "@hetmem/reclaim": 5,
  "@hetmem/dax": 6,
  "@hetmem/hmm-migrate": 6,
  "@hetmem/hmm-mirror": 6,
  "@hetmem/memcg": 6,
  "@hetmem/dax-kmem": 7,
  "@hetmem/driver-kit": 7,
  "@hetmem/explain": 7,
  "@hetmem/gpu": 7,
  "@hetmem/nvdimm": 7,
  "@hetmem/host-capture": 8,
  "@hetmem/machine-spec": 8,
  "@hetmem/ndctl": 8,
  "@hetmem/report": 8,
  "@hetmem/shell": 8,
  "@hetmem/transcript": 8,
  hetmem: 9,
};

/** Imports between packages of one floor that are allowed. */
const NEIGHBOURS: readonly (readonly [from: string, to: string])[] = [
  // A kit knows the port that it tries.
  ["@hetmem/driver-kit", "@hetmem/gpu"],
  // Files in memory stand on address spaces, which know files by a port.
  ["@hetmem/page-cache", "@hetmem/mm"],
  // Pages that are pinned for long, reclaimed or bad are moved.
  ["@hetmem/gup", "@hetmem/migrate"],
  ["@hetmem/memory-failure", "@hetmem/migrate"],
  ["@hetmem/reclaim", "@hetmem/migrate"],
  // /proc/PID shows how the OOM killer rates a process.
  ["@hetmem/proc-pid", "@hetmem/reclaim"],
  // A host becomes a specification.
  ["@hetmem/host-capture", "@hetmem/machine-spec"],
  // A machine is shown as its own files have it, by the reader of hosts, beside what it was made from.
  ["@hetmem/report", "@hetmem/host-capture"],
  ["@hetmem/report", "@hetmem/machine-spec"],
  // Its programs are typed into a shell.
  ["@hetmem/ndctl", "@hetmem/shell"],
  // Captures are typed into a shell.
  ["@hetmem/transcript", "@hetmem/shell"],
];

/** Why one package must not import another, or undefined where it may. */
export function forbidden(from: string, to: string): string | undefined {
  const fromFloor = FLOORS[from];
  const toFloor = FLOORS[to];
  if (fromFloor === undefined) return `${from} has no floor: give it one in tools/house/src/floors.ts`;
  if (toFloor === undefined) return `${to} has no floor: give it one in tools/house/src/floors.ts`;
  if (toFloor < fromFloor) return undefined;
  if (toFloor > fromFloor) return `${from} (floor ${fromFloor}) imports upward from ${to} (floor ${toFloor})`;
  if (NEIGHBOURS.some(([one, other]) => one === from && other === to)) return undefined;
  return `${from} imports its neighbour ${to}: move what they share down, or declare a port`;
}
