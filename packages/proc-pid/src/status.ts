// /proc/PID/status and statm: identity, rights and memory of a process, from counters. Attributes that aren't modelled
// have the values of a simple process: one thread, no cgroup limits, no blocked signals, no seccomp. Kernel
// counterparts: proc_pid_status() in fs/proc/array.c, task_mem() in fs/proc/task_mmu.c.
import { formatIdList, PAGE_SIZE, pagesToKiB } from "@hetmem/kernel";
import { type MmStruct, type Process, ROOT, Rss } from "@hetmem/mm";
import { nodesWithMemory } from "@hetmem/mm/policy";
import { type Memory, onlineCpus } from "@hetmem/zone";

/** The parent of orphans. */
const INIT_PID = 1;
/** Bits of a node mask: MAX_NUMNODES of the kernel of the captures. */
const NODE_BITS = 64;
const NO_BITS = "0000000000000000";

type Line = readonly [label: string, value: string | number];

/** The text of status. @see proc_pid_status() */
export function statusText(process: Process, memory: Memory): string {
  const { mm } = process;
  const lines: Line[] = [
    ["Name", escapeName(process.comm)],
    ...identity(process),
    ...(mm ? [...memoryLines(mm), ["CoreDumping", 0] as const, ["THP_enabled", 1] as const] : []),
    ...signals(process),
    ...rights(process),
    ...placement(memory),
    ["voluntary_ctxt_switches", 0],
    ["nonvoluntary_ctxt_switches", 0],
  ];
  return lines.map(([label, value]) => `${label}:\t${value}\n`).join("");
}

/**
 * The text of statm, in pages: size, resident, shared, text, lib (0), data with stack, dirty (0).
 *
 * @see proc_pid_statm()
 */
export function statmText(mm: MmStruct | undefined): string {
  if (!mm) return "0 0 0 0 0 0 0\n";
  const shared = rss(mm, Rss.file) + rss(mm, Rss.shmem);
  const text = textBytes(mm) / PAGE_SIZE;
  return `${mm.totalVm} ${mm.rssPages} ${shared} ${text} 0 ${mm.dataVm + mm.stackVm} 0\n`;
}

/** A command name on one line: backslashes and newlines are escaped. @see proc_task_name() */
function escapeName(comm: string): string {
  return comm.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

/** State and ids. @see task_state() */
function identity({ pid, parent, mm, credentials: { uid } }: Process): Line[] {
  return [
    ["Umask", "0022"],
    ["State", mm ? "R (running)" : "Z (zombie)"],
    ["Tgid", pid],
    ["Ngid", 0],
    ["Pid", pid],
    ["PPid", parent?.mm ? parent.pid : INIT_PID],
    ["TracerPid", 0],
    ["Uid", Array(4).fill(uid).join("\t")],
    ["Gid", Array(4).fill(uid).join("\t")],
    ["FDSize", 64],
    ["Groups", " "],
    ["NStgid", pid],
    ["NSpid", pid],
    ["NSpgid", 0],
    ["NSsid", 0],
  ];
}

/**
 * Memory, in KiB. The peaks are recorded when a value falls; before that, the present value is the peak.
 *
 * @see task_mem()
 */
function memoryLines(mm: MmStruct): Line[] {
  const text = Math.min(textBytes(mm), mm.execVm * PAGE_SIZE) / PAGE_SIZE;
  const pages: readonly (readonly [string, number])[] = [
    ["VmPeak", Math.max(mm.hiwaterVm, mm.totalVm)],
    ["VmSize", mm.totalVm],
    ["VmLck", mm.lockedVm],
    ["VmPin", mm.pinnedVm],
    ["VmHWM", Math.max(mm.hiwaterRss, mm.rssPages)],
    ["VmRSS", mm.rssPages],
    ["RssAnon", rss(mm, Rss.anon)],
    ["RssFile", rss(mm, Rss.file)],
    ["RssShmem", rss(mm, Rss.shmem)],
    ["VmData", mm.dataVm],
    ["VmStk", mm.stackVm],
    ["VmExe", text],
    ["VmLib", mm.execVm - text],
    // The topmost table isn't counted. @see mm_pgtables_bytes()
    ["VmPTE", mm.pageTable.tables - 1],
    ["VmSwap", rss(mm, Rss.swapEntries)],
    ["HugetlbPages", mm.hugetlbPages],
  ];
  return pages.map(([label, count]) => [label, `${`${pagesToKiB(count)}`.padStart(8)} kB`]);
}

/** Threads and signals. @see task_sig() */
function signals({ rlimits }: Process): Line[] {
  return [
    ["Threads", 1],
    ["SigQ", `0/${rlimits.get("sigpending").soft}`],
    ["SigPnd", NO_BITS],
    ["ShdPnd", NO_BITS],
    ["SigBlk", NO_BITS],
    ["SigIgn", NO_BITS],
    ["SigCgt", NO_BITS],
  ];
}

/** Capabilities and seccomp. @see task_cap(), task_seccomp() */
function rights({ credentials: { effective } }: Process): Line[] {
  const has = effective.toString(16).padStart(16, "0");
  return [
    ["CapInh", NO_BITS],
    ["CapPrm", has],
    ["CapEff", has],
    ["CapBnd", ROOT.effective.toString(16).padStart(16, "0")],
    ["CapAmb", NO_BITS],
    ["NoNewPrivs", 0],
    ["Seccomp", 0],
    ["Seccomp_filters", 0],
    ["Speculation_Store_Bypass", "not vulnerable"],
    ["SpeculationIndirectBranch", "always enabled"],
  ];
}

/**
 * CPUs and nodes that the process may use: every CPU, and every node with memory.
 *
 * @see task_cpus_allowed(), cpuset_task_status_allowed()
 */
function placement(memory: Memory): Line[] {
  const cpus = onlineCpus(memory);
  const nodes = nodesWithMemory(memory);
  return [
    ["Cpus_allowed", maskText(cpus, (cpus.at(-1) ?? 0) + 1)],
    ["Cpus_allowed_list", formatIdList(cpus)],
    ["Mems_allowed", maskText(nodes, NODE_BITS)],
    ["Mems_allowed_list", formatIdList(nodes)],
  ];
}

/**
 * A bitmap in hex, in groups of 32 bits, with as many digits as its size has.
 *
 * @see bitmap_string() in lib/vsprintf.c
 */
function maskText(ids: readonly number[], bits: number): string {
  const mask = ids.reduce((sum, id) => sum | (1n << BigInt(id)), 0n);
  const digits = mask.toString(16).padStart(Math.ceil(bits / 4), "0");
  return digits.replaceAll(/\B(?=(?:.{8})+$)/g, ",");
}

/** Bytes of the program's text, rounded to whole pages at both ends. */
function textBytes({ startCode, endCode }: MmStruct): number {
  return Math.ceil(endCode / PAGE_SIZE) * PAGE_SIZE - Math.floor(startCode / PAGE_SIZE) * PAGE_SIZE;
}

function rss(mm: MmStruct, kind: number): number {
  return mm.rss[kind] as number;
}
