// Nothing could be reclaimed: the process whose end frees the most is killed, and its memory is taken at once. Kernel
// counterpart: out_of_memory() in mm/oom_kill.c. Not modelled: panic_on_oom, cpusets.
import { type NodeId, type Sleeps, virtAddr } from "@hetmem/kernel";
import type { Process, Vm } from "@hetmem/mm";
import type { OomControl } from "@hetmem/mm/ports";
import { allZones, Gfp, VmEvent } from "@hetmem/zone";
import { isUnkillable, OOM_SCORE_ADJ_MIN, oomBadness } from "./oom-badness.ts";
import { logGone, logGroup, logInvocation, logKill, logSummary, logTasks } from "./oom-log.ts";
import { reapVictim } from "./oom-reaper.ts";

/** A shortage of the whole machine. @see constrained_alloc() */
export function globalOom(vm: Vm, current: Process | undefined, gfp: number, order: number): OomControl {
  return {
    current,
    gfp,
    order,
    constraint: "CONSTRAINT_NONE",
    scope: "global_oom",
    message: "Out of memory",
    totalPages: totalPages(vm),
    candidates: () => vm.processes,
  };
}

/** A shortage of the nodes that a policy binds somebody to. @see constrained_alloc(), mempolicy_in_oom_domain() */
export function policyOom(
  vm: Vm,
  current: Process | undefined,
  gfp: number,
  order: number,
  nodemask: readonly NodeId[],
): OomControl {
  const present = nodemask.reduce((sum, node) => sum + (vm.memory.nodes[node]?.presentPages ?? 0), 0);
  return {
    ...globalOom(vm, current, gfp, order),
    constraint: "CONSTRAINT_MEMORY_POLICY",
    totalPages: vm.swap.totalPages + present,
    *candidates() {
      for (const process of vm.processes) {
        const policy = process.mm?.policy;
        if (policy?.mode !== "bind" || policy.nodes.some((node) => nodemask.includes(node))) yield process;
      }
    },
  };
}

/** Memory and swap of the machine: what an oom_score is measured with. */
export function totalPages(vm: Vm): number {
  let pages = vm.swap.totalPages;
  for (const zone of allZones(vm.memory)) pages += zone.managedPages;
  return pages;
}

/**
 * Kills a process, and takes its anonymous memory.
 *
 * @returns whether a retry may help: somebody was killed, or is about to be gone
 * @see out_of_memory()
 */
export function* outOfMemory(vm: Vm, control: OomControl): Sleeps<boolean> {
  const { current, gfp, constraint } = control;
  if (current && willFreeMemory(vm, current)) {
    yield* takeMemory(vm, current);
    return true;
  }
  // Who must not wait for files has not reclaimed all that there is: others have to.
  if (gfp !== 0 && (gfp & Gfp.FS) === 0 && constraint !== "CONSTRAINT_MEMCG") return false;
  const allocating =
    vm.tunables.oomKillAllocatingTask && constraint !== "CONSTRAINT_MEMCG" ? current : undefined;
  if (allocating && !isUnkillable(allocating) && allocating.oomScoreAdj !== OOM_SCORE_ADJ_MIN) {
    yield* killProcess(vm, control, allocating, `${control.message} (oom_kill_allocating_task)`);
    return true;
  }
  const chosen = selectBadProcess(control);
  if (chosen === "dying") return true;
  if (chosen) {
    yield* killProcess(vm, control, chosen, control.message);
    return true;
  }
  logInvocation(vm, control);
  logTasks(vm, control.candidates());
  vm.kernel.log.printk(4, `${control.message} and no killable processes...`);
  return false;
}

/**
 * The worst of the candidates; of two that are as bad, the younger.
 *
 * @returns "dying" when somebody was killed already whose memory has not been taken yet
 * @see select_bad_process()
 */
function selectBadProcess(control: OomControl): Process | "dying" | undefined {
  let chosen: Process | undefined;
  let worst = Number.NEGATIVE_INFINITY;
  for (const process of control.candidates()) {
    if (process.mm?.oom === "victim") return "dying";
    const points = oomBadness(process, control.totalPages);
    if (points === undefined || points < worst) continue;
    chosen = process;
    worst = points;
  }
  return chosen;
}

/** @see oom_kill_process() */
function* killProcess(vm: Vm, control: OomControl, victim: Process, message: string): Sleeps<void> {
  if (willFreeMemory(vm, victim)) return yield* takeMemory(vm, victim);
  logInvocation(vm, control);
  logTasks(vm, control.candidates());
  logSummary(vm, control, victim);
  vm.charging.groups?.noteShortage(control);
  // Asked before the victim has gone from it.
  const together = vm.charging.groups?.oomGroupOf(victim, control.group);
  yield* killOne(vm, control, victim, message);
  if (!together) return;
  together.noteKill();
  logGroup(vm, together);
  // The victim is among them, and is counted a second time, as the kernel does.
  for (const process of together.processes())
    if (process.oomScoreAdj !== OOM_SCORE_ADJ_MIN && !isUnkillable(process))
      yield* killOne(vm, control, process, message);
}

/** @see __oom_kill_process() */
function* killOne(vm: Vm, control: OomControl, victim: Process, message: string): Sleeps<void> {
  const { mm } = victim;
  if (!mm) return logGone(vm, message, victim);
  vm.memory.allocator.countEvent(VmEvent.oom_kill, 1);
  vm.charging.groups?.noteOomKill(victim, mm, control);
  kill(victim, message);
  logKill(vm, message, victim, mm);
  // The memory stays for as long as one of those who share it lives.
  for (const other of vm.processes.of(mm)) if (other !== victim) kill(other, message);
  yield* takeMemory(vm, victim);
}

function kill(process: Process, message: string): void {
  process.deliver({ signo: "SIGKILL", code: "SI_KERNEL", address: virtAddr(0), reason: message });
}

/** It may use the reserves from now on, so that it can end; and what it has is taken at once. @see mark_oom_victim(), queue_oom_reaper() */
function* takeMemory(vm: Vm, victim: Process): Sleeps<void> {
  const { mm } = victim;
  if (!mm || mm.oom !== "none") return;
  mm.oom = "victim";
  yield* reapVictim(vm, victim, mm);
}

/** Whether it was killed before, with all that share its memory, and hasn't been reaped. @see task_will_free_mem() */
function willFreeMemory({ processes }: Vm, process: Process): boolean {
  const { mm, killed } = process;
  if (!mm || !killed || mm.oom !== "none") return false;
  for (const other of processes.of(mm)) if (!other.killed) return false;
  return true;
}
