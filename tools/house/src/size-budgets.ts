// How large code may be, in KiB, minified and gzipped. What grows beyond its line fails the test run: make it smaller, or raise the
// line and say in the commit what users get for it. test/sizes.test.ts measures.

/** Each package: its own code, with all its entries and nothing that it stands on. */
export const PACKAGE_BUDGETS: Readonly<Record<string, number>> = {
  "@hetmem/cgroup": 5.5,
  "@hetmem/dax": 10.5,
  "@hetmem/dax-kmem": 2.5,
  "@hetmem/driver-kit": 28,
  "@hetmem/explain": 5.5,
  "@hetmem/explore": 2,
  "@hetmem/gpu": 10.5,
  "@hetmem/gup": 5,
  "@hetmem/hmm-migrate": 8.5,
  "@hetmem/hmm-mirror": 5.5,
  "@hetmem/host-capture": 12.5,
  "@hetmem/hugetlb": 6.5,
  "@hetmem/kernel": 9.5,
  "@hetmem/khugepaged": 4,
  "@hetmem/machine-spec": 14,
  "@hetmem/madvise": 5,
  "@hetmem/memcg": 16.5,
  "@hetmem/memory-failure": 4,
  "@hetmem/memremap": 9.5,
  "@hetmem/migrate": 11,
  "@hetmem/mm": 49,
  "@hetmem/mmu-notifier": 4.5,
  "@hetmem/ndctl": 23.5,
  "@hetmem/nvdimm": 25.5,
  "@hetmem/page": 9.5,
  "@hetmem/page-cache": 10,
  "@hetmem/page-table": 3,
  "@hetmem/proc-pid": 8,
  "@hetmem/reclaim": 16,
  "@hetmem/report": 9,
  "@hetmem/resource": 6,
  "@hetmem/shell": 37.5,
  "@hetmem/transcript": 4.5,
  "@hetmem/vfs": 8.5,
  "@hetmem/zone": 33,
  hetmem: 25,
};

/** Applications. */
export const APPLICATION_BUDGETS = {
  /** A machine for a browser. */
  createMachine: 206,
  /** With the shell and all programs, loaded at once. */
  withShellAndPrograms: 300,
  /** What a page waits for that shows a machine and its shell, with programs on demand. */
  firstScreen: 245,
  /** `dist/hetmem.cjs`: what `hetmem --help` reads. */
  executable: 22,
  /** `dist/commands.cjs`: all that the program can do, not minified. */
  commands: 540,
} as const;
