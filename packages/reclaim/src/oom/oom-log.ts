// The OOM killer's lines in the kernel log, with the kernel's wording, for which people search. Kernel counterparts:
// dump_header() and dump_tasks() in mm/oom_kill.c, include/trace/events/mmflags.h. Not modelled: the stack trace and
// Mem-Info.
import { formatIdList, pagesToKiB } from "@hetmem/kernel";
import { type MmStruct, type Process, Rss, type Vm } from "@hetmem/mm";
import type { OomControl, OomGroup } from "@hetmem/mm/ports";
import {
  Gfp,
  GFP_ATOMIC,
  GFP_HIGHUSER,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_KERNEL_ACCOUNT,
  GFP_NOWAIT,
  GFP_USER,
  onlineNodes,
} from "@hetmem/zone";
import type { AllocRequest } from "../alloc-request.ts";

/** Name of the task of requests without a process. */
const KERNEL_COMM = "swapper/0";

/**
 * Gfp bits of this project, the bits of the kernel, and their names, lowest bit first.
 *
 * @see include/linux/gfp_types.h
 */
const GFP_BITS: readonly (readonly [ours: number, theirs: number, name: string])[] = [
  [Gfp.DMA, 0x1, "GFP_DMA"],
  [Gfp.HIGHMEM, 0x2, "__GFP_HIGHMEM"],
  [Gfp.DMA32, 0x4, "GFP_DMA32"],
  [Gfp.MOVABLE, 0x8, "__GFP_MOVABLE"],
  [Gfp.RECLAIMABLE, 0x10, "__GFP_RECLAIMABLE"],
  [Gfp.HIGH, 0x20, "__GFP_HIGH"],
  [Gfp.IO, 0x40, "__GFP_IO"],
  [Gfp.FS, 0x80, "__GFP_FS"],
  [Gfp.ZERO, 0x100, "__GFP_ZERO"],
  [Gfp.DIRECT_RECLAIM, 0x400, "__GFP_DIRECT_RECLAIM"],
  [Gfp.KSWAPD_RECLAIM, 0x800, "__GFP_KSWAPD_RECLAIM"],
  [Gfp.NOWARN, 0x2000, "__GFP_NOWARN"],
  [Gfp.RETRY_MAYFAIL, 0x4000, "__GFP_RETRY_MAYFAIL"],
  [Gfp.NOFAIL, 0x8000, "__GFP_NOFAIL"],
  [Gfp.NORETRY, 0x1_0000, "__GFP_NORETRY"],
  [Gfp.MEMALLOC, 0x2_0000, "__GFP_MEMALLOC"],
  [Gfp.COMP, 0x4_0000, "__GFP_COMP"],
  [Gfp.NOMEMALLOC, 0x8_0000, "__GFP_NOMEMALLOC"],
  [Gfp.HARDWALL, 0x10_0000, "__GFP_HARDWALL"],
  [Gfp.THISNODE, 0x20_0000, "__GFP_THISNODE"],
  [Gfp.ACCOUNT, 0x40_0000, "__GFP_ACCOUNT"],
];
/** Names of combinations of bits. The first that fits is used. */
const GFP_NAMES: readonly (readonly [bits: number, name: string])[] = [
  [GFP_HIGHUSER_MOVABLE, "GFP_HIGHUSER_MOVABLE"],
  [GFP_HIGHUSER, "GFP_HIGHUSER"],
  [GFP_USER, "GFP_USER"],
  [GFP_KERNEL_ACCOUNT, "GFP_KERNEL_ACCOUNT"],
  [GFP_KERNEL, "GFP_KERNEL"],
  [GFP_ATOMIC, "GFP_ATOMIC"],
  [GFP_NOWAIT, "GFP_NOWAIT"],
];

/** Logs the request that found no memory. @see dump_header() */
export function logInvocation({ kernel }: Vm, { current, gfp, order, details }: OomControl): void {
  kernel.log.printk(
    4,
    `${current?.comm ?? KERNEL_COMM} invoked oom-killer: gfp_mask=${gfpText(gfp)}, order=${order}, ` +
      `oom_score_adj=${current?.oomScoreAdj ?? 0}`,
  );
  for (const line of details?.() ?? []) kernel.log.printk(6, line);
}

/** Logs a failed request without Gfp.NOWARN. @see warn_alloc() in mm/page_alloc.c */
export function logAllocationFailure(vm: Vm, { current, gfp, order, nodemask }: AllocRequest): void {
  vm.kernel.log.printk(
    4,
    `${current?.comm ?? KERNEL_COMM}: page allocation failure: order:${order}, mode:${gfpText(gfp)}, ` +
      `nodemask=${nodemask ? formatIdList(nodemask) : "(null)"},cpuset=/,mems_allowed=${memsAllowed(vm)}`,
  );
}

/** Logs every candidate with its sizes, in pages. @see dump_tasks() */
export function logTasks({ kernel }: Vm, candidates: Iterable<Process>): void {
  kernel.log.printk(6, "Tasks state (memory values in pages):");
  kernel.log.printk(6, "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name");
  for (const { pid, comm, mm, oomScoreAdj, credentials } of candidates) {
    if (!mm) continue;
    const column = (value: number, width: number): string => `${value}`.padStart(width);
    kernel.log.printk(
      6,
      `[${column(pid, 7)}] ${column(credentials.uid, 5)} ${column(pid, 5)} ${column(mm.totalVm, 8)} ${column(mm.rssPages, 8)} ` +
        `${column(tableBytes(mm), 8)} ${column(mm.rss[Rss.swapEntries] as number, 8)}         ` +
        `${column(oomScoreAdj, 5)} ${comm}`,
    );
  }
}

/** Logs constraint, cgroup and victim in one line. @see dump_oom_summary() */
export function logSummary(vm: Vm, { constraint, scope }: OomControl, victim: Process): void {
  const path = vm.charging.groups?.pathOf(victim) ?? "/";
  vm.kernel.log.printk(
    6,
    `oom-kill:constraint=${constraint},nodemask=(null),cpuset=/,mems_allowed=${memsAllowed(vm)},${scope},` +
      `task_memcg=${path},task=${victim.comm},pid=${victim.pid},uid=${victim.credentials.uid}`,
  );
}

/** Logs that all tasks of a cgroup are killed. @see mem_cgroup_print_oom_group() */
export function logGroup({ kernel }: Vm, { path }: OomGroup): void {
  kernel.log.printk(6, `Tasks in ${path} are going to be killed due to memory.oom.group set`);
}

/** Logs a kill, with the sizes of the victim. @see __oom_kill_process() */
export function logKill(
  { kernel }: Vm,
  message: string,
  { comm, pid, oomScoreAdj, credentials }: Process,
  mm: MmStruct,
): void {
  kernel.log.printk(
    3,
    `${message}: Killed process ${pid} (${comm}) total-vm:${pagesToKiB(mm.totalVm)}kB, ${residentText(mm)}, ` +
      `UID:${credentials.uid} pgtables:${tableBytes(mm) / 1024}kB oom_score_adj:${oomScoreAdj}`,
  );
}

/** Logs that the victim has no address space any more. @see __oom_kill_process() */
export function logGone({ kernel }: Vm, message: string, { comm, pid }: Process): void {
  kernel.log.printk(6, `${message}: OOM victim ${pid} (${comm}) is already exiting. Skip killing the task`);
}

/** Logs what the reaper left. @see oom_reap_task_mm() */
export function logReaped({ kernel }: Vm, { comm, pid }: Process, mm: MmStruct): void {
  kernel.log.printk(6, `oom_reaper: reaped process ${pid} (${comm}), now ${residentText(mm)}`);
}

/** Logs that the reaper gave up. @see oom_reap_task() */
export function logUnreapable({ kernel }: Vm, { comm, pid }: Process): void {
  kernel.log.printk(6, `oom_reaper: unable to reap pid:${pid} (${comm})`);
}

function residentText({ rss }: MmStruct): string {
  const kilobytes = (kind: number): string => `${pagesToKiB(rss[kind] as number)}kB`;
  return `anon-rss:${kilobytes(Rss.anon)}, file-rss:${kilobytes(Rss.file)}, shmem-rss:${kilobytes(Rss.shmem)}`;
}

/** Bytes of page tables, without the topmost one. @see mm_pgtables_bytes() */
function tableBytes(mm: MmStruct): number {
  return (mm.pageTable.tables - 1) * 4096;
}

/** Nodes with memory, as a list. */
function memsAllowed({ memory }: Vm): string {
  return formatIdList(onlineNodes(memory).flatMap((node) => (node.managedPages > 0 ? [node.id] : [])));
}

/** Gfp bits as a number and as names: `0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP)`. @see show_gfp_flags() */
function gfpText(gfp: number): string {
  const mask = GFP_BITS.reduce((sum, [ours, theirs]) => ((gfp & ours) === 0 ? sum : sum | theirs), 0);
  const common = GFP_NAMES.find(([bits]) => (gfp & bits) === bits);
  const rest = gfp & ~(common?.[0] ?? 0);
  const names = GFP_BITS.filter(([ours]) => (rest & ours) !== 0).map(([, , name]) => name);
  const text = [...(common ? [common[1]] : []), ...names].join("|");
  return mask === 0 ? "0x0()" : `0x${mask.toString(16)}(${text})`;
}
