// The OOM killer: after reclaim has failed, kills the process that the machine's OomChoice names, and reaps its memory at
// once.
// Kernel counterpart: out_of_memory() in mm/oom_kill.c. Not modelled: panic_on_oom, cpusets.
import { bugOn, type NodeId, type Sleeps, virtAddr } from "@hetmem/kernel";
import type { Process, Vm } from "@hetmem/mm";
import type { OomControl } from "@hetmem/mm/ports";
import { allZones, Gfp, VmEvent } from "@hetmem/zone";
import { isUnkillable, OOM_SCORE_ADJ_MIN } from "./oom-badness.ts";
import { logGone, logGroup, logInvocation, logKill, logSummary, logTasks } from "./oom-log.ts";
import { reapVictim } from "./oom-reaper.ts";

/**
 * The control for a shortage of the whole machine.
 *
 * @param current process that needs memory; undefined: the kernel itself
 * @see constrained_alloc()
 */
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

/**
 * The control for a shortage on the nodes of a memory policy.
 *
 * @param current process that needs memory; undefined: the kernel itself
 * @param nodemask nodes of the policy
 * @see constrained_alloc(), mempolicy_in_oom_domain()
 */
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

/** Pages of memory and swap of the machine, to which oom_score is relative. */
export function totalPages(vm: Vm): number {
  let pages = vm.swap.totalPages;
  for (const zone of allZones(vm.memory)) pages += zone.managedPages;
  return pages;
}

/**
 * Kills a process, and reaps its anonymous memory.
 *
 * @returns whether a retry of the allocation may succeed: a process was killed, or is exiting
 * @see out_of_memory()
 */
export function* outOfMemory(vm: Vm, control: OomControl): Sleeps<boolean> {
  const { current, gfp, constraint } = control;
  if (current && willFreeMemory(vm, current)) {
    yield* reapMemory(vm, current);
    return true;
  }
  // A request without Gfp.FS has not reclaimed pages of files: other requests must do so first.
  if (gfp !== 0 && (gfp & Gfp.FS) === 0 && constraint !== "CONSTRAINT_MEMCG") return false;
  const allocating =
    vm.tunables.oomKillAllocatingTask && constraint !== "CONSTRAINT_MEMCG" ? current : undefined;
  if (allocating && !isUnkillable(allocating) && allocating.oomScoreAdj !== OOM_SCORE_ADJ_MIN) {
    yield* killProcess(vm, control, allocating, `${control.message} (oom_kill_allocating_task)`);
    return true;
  }
  const chosen = vm.oomChoice.selectBadProcess(control);
  if (chosen === "dying") return true;
  if (chosen) {
    bugOn(isUnkillable(chosen), `the OOM choice of this machine names process ${chosen.pid}, which is init`);
    yield* killProcess(vm, control, chosen, control.message);
    return true;
  }
  logInvocation(vm, control);
  logTasks(vm, control.candidates());
  vm.kernel.log.printk(4, `${control.message} and no killable processes...`);
  return false;
}

/** Kills a process, and all processes of its cgroup if memory.oom.group is set. @see oom_kill_process() */
function* killProcess(vm: Vm, control: OomControl, victim: Process, message: string): Sleeps<void> {
  if (willFreeMemory(vm, victim)) return yield* reapMemory(vm, victim);
  logInvocation(vm, control);
  logTasks(vm, control.candidates());
  logSummary(vm, control, victim);
  vm.charging.groups?.noteShortage(control);
  // Looked up before the victim leaves its cgroup.
  const together = vm.charging.groups?.oomGroupOf(victim, control.group);
  yield* killOne(vm, control, victim, message);
  if (!together) return;
  together.noteKill();
  logGroup(vm, together);
  // The victim is in the group, too, and is counted a second time, as in the kernel.
  for (const process of together.processes())
    if (process.oomScoreAdj !== OOM_SCORE_ADJ_MIN && !isUnkillable(process))
      yield* killOne(vm, control, process, message);
}

/** Kills one process, and all that share its address space. @see __oom_kill_process() */
function* killOne(vm: Vm, control: OomControl, victim: Process, message: string): Sleeps<void> {
  const { mm } = victim;
  if (!mm) return logGone(vm, message, victim);
  vm.memory.allocator.countEvent(VmEvent.oom_kill, 1);
  vm.charging.groups?.noteOomKill(victim, mm, control);
  kill(victim, message);
  logKill(vm, message, victim, mm);
  // The memory is freed only when all processes that share it have exited.
  for (const other of vm.processes.of(mm)) if (other !== victim) kill(other, message);
  yield* reapMemory(vm, victim);
}

function kill(process: Process, message: string): void {
  process.deliver({ signo: "SIGKILL", code: "SI_KERNEL", address: virtAddr(0), reason: message });
}

/**
 * Lets a victim use the reserves, so that it can exit, and reaps its memory.
 *
 * @see mark_oom_victim(), queue_oom_reaper()
 */
function* reapMemory(vm: Vm, victim: Process): Sleeps<void> {
  const { mm } = victim;
  if (!mm || mm.oom !== "none") return;
  mm.oom = "victim";
  yield* reapVictim(vm, victim, mm);
}

/** Whether a process, and all that share its address space, are killed and not reaped yet. @see task_will_free_mem() */
function willFreeMemory({ processes }: Vm, process: Process): boolean {
  const { mm, killed } = process;
  if (!mm || !killed || mm.oom !== "none") return false;
  for (const other of processes.of(mm)) if (!other.killed) return false;
  return true;
}
