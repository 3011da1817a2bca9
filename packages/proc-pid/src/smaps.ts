// /proc/PID/smaps: a block of counters for each mapping of a process, in KiB. /proc/PID/smaps_rollup: one block with
// the sums.
// Kernel counterpart: show_smap() and show_smaps_rollup() in fs/proc/task_mmu.c.
import { KiB, type Sleeps, virtAddr } from "@hetmem/kernel";
import { type MmStruct, type Vma, VmFlag } from "@hetmem/mm";
import { GATE_LINE, mapLine, rollupLine } from "./maps.ts";
import { gatherStats, MemSizeStats, PSS_UNITS } from "./mem-size-stats.ts";
import { thpEligible } from "./thp-eligible.ts";

/**
 * Two letters for each flag, in the order of the kernel's bits; `??` for a flag without letters.
 *
 * @see show_smap_vma_flags()
 */
const MNEMONICS: readonly (readonly [letters: string, flag: number])[] = [
  ["rd", VmFlag.READ],
  ["wr", VmFlag.WRITE],
  ["ex", VmFlag.EXEC],
  ["sh", VmFlag.SHARED],
  ["mr", VmFlag.MAYREAD],
  ["mw", VmFlag.MAYWRITE],
  ["me", VmFlag.MAYEXEC],
  ["ms", VmFlag.MAYSHARE],
  ["gd", VmFlag.GROWSDOWN],
  ["pf", VmFlag.PFNMAP],
  ["lo", VmFlag.LOCKED],
  ["io", VmFlag.IO],
  ["sr", VmFlag.SEQ_READ],
  ["rr", VmFlag.RAND_READ],
  ["dc", VmFlag.DONTCOPY],
  ["de", VmFlag.DONTEXPAND],
  ["??", VmFlag.LOCKONFAULT],
  ["ac", VmFlag.ACCOUNT],
  ["nr", VmFlag.NORESERVE],
  ["ht", VmFlag.HUGETLB],
  ["wf", VmFlag.WIPEONFORK],
  ["dd", VmFlag.DONTDUMP],
  ["sd", VmFlag.SOFTDIRTY],
  ["mm", VmFlag.MIXEDMAP],
  ["hg", VmFlag.HUGEPAGE],
  ["nh", VmFlag.NOHUGEPAGE],
];

/**
 * The text of smaps.
 *
 * @param hidden VmFlag bits that the modelled kernel doesn't have
 * @see show_smap()
 */
export function* smapsText(mm: MmStruct, hidden = 0): Sleeps<string> {
  yield* mm.mmapLock.downRead();
  const parts: string[] = [];
  if (!mm.dead) {
    for (const vma of mm.vmas) parts.push(yield* smapText(vma, hidden));
    parts.push(GATE_TEXT);
  }
  mm.mmapLock.upRead();
  return parts.join("");
}

/** The text of smaps_rollup; undefined for an address space that has ended. @see show_smaps_rollup() */
export function* smapsRollupText(mm: MmStruct): Sleeps<string | undefined> {
  yield* mm.mmapLock.downRead();
  let text: string | undefined;
  if (!mm.dead) {
    const stats = new MemSizeStats();
    const vmas = [...mm.vmas];
    for (const vma of vmas) yield* gatherStats(stats, vma);
    text =
      rollupLine(vmas[0]?.start ?? virtAddr(0), vmas.at(-1)?.end ?? virtAddr(0)) +
      statLines(stats, [
        ["Pss_Anon", stats.pssAnon / PSS_UNITS],
        ["Pss_File", stats.pssFile / PSS_UNITS],
        ["Pss_Shmem", stats.pssShmem / PSS_UNITS],
      ]);
  }
  mm.mmapLock.upRead();
  return text;
}

/** The block of one mapping. */
function* smapText(vma: Vma, hidden: number): Sleeps<string> {
  const stats = new MemSizeStats();
  yield* gatherStats(stats, vma);
  const pageBytes = (vma.flags & VmFlag.HUGETLB) !== 0 ? 2048 * KiB : 4 * KiB;
  return (
    mapLine(vma) + smapLines(stats, vma.end - vma.start, pageBytes, thpEligible(vma), vma.flags & ~hidden)
  );
}

/** The block of the vsyscall page, whose contents aren't counted. */
const GATE_TEXT: string = GATE_LINE + smapLines(new MemSizeStats(), 4 * KiB, 4 * KiB, false, VmFlag.EXEC);

/**
 * The lines of a block behind its header.
 *
 * @param bytes size of the mapping
 * @param pageBytes page size of the mapping
 */
function smapLines(
  stats: MemSizeStats,
  bytes: number,
  pageBytes: number,
  eligible: boolean,
  flags: number,
): string {
  const letters = MNEMONICS.filter(([, flag]) => (flags & flag) !== 0).map(([name]) => `${name} `);
  return (
    line("Size", bytes) +
    line("KernelPageSize", pageBytes) +
    line("MMUPageSize", pageBytes) +
    statLines(stats, []) +
    `THPeligible:    ${Number(eligible)}\n` +
    `ProtectionKey:  ${"0".padStart(8)}\n` +
    `VmFlags: ${letters.join("")}\n`
  );
}

/**
 * The lines of the counters.
 *
 * @param kinds lines of smaps_rollup alone
 * @see __show_smap()
 */
function statLines(stats: MemSizeStats, kinds: readonly (readonly [string, number])[]): string {
  return [
    ["Rss", stats.resident],
    ["Pss", stats.pss / PSS_UNITS],
    ["Pss_Dirty", stats.pssDirty / PSS_UNITS],
    ...kinds,
    ["Shared_Clean", stats.sharedClean],
    ["Shared_Dirty", stats.sharedDirty],
    ["Private_Clean", stats.privateClean],
    ["Private_Dirty", stats.privateDirty],
    ["Referenced", stats.referenced],
    ["Anonymous", stats.anonymous],
    ["LazyFree", stats.lazyfree],
    ["AnonHugePages", stats.anonymousThp],
    ["ShmemPmdMapped", stats.shmemThp],
    ["FilePmdMapped", stats.fileThp],
    ["Shared_Hugetlb", stats.sharedHugetlb],
    ["Private_Hugetlb", stats.privateHugetlb],
    ["Swap", stats.swap],
    ["SwapPss", stats.swapPss / PSS_UNITS],
    ["Locked", stats.pssLocked / PSS_UNITS],
  ]
    .map(([label, bytes]) => line(label as string, bytes as number))
    .join("");
}

/** One line, in KiB, rounded down. */
function line(label: string, bytes: number): string {
  return `${`${label}:`.padEnd(16)}${`${Math.floor(bytes / KiB)}`.padStart(8)} kB\n`;
}
