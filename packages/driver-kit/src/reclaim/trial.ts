// One trial of reclaim: a machine with 4 MiB of RAM and memory cgroups, processes that have written to pages, and requests for
// which the allocator has no page. Obligations are written in the verbs of this file.
import { KernelBug, MiB, type NodeId, nodeId, type Page, PAGE_SIZE, run, type Sleeps } from "@hetmem/kernel";
import { Limits, type MemoryCgroup, MemoryCgroups } from "@hetmem/memcg";
import { allocMm, MapFlag, mmap, type MmStruct, type Process, Prot, type Vm, writeUser } from "@hetmem/mm";
import type { OomChoice, PageReclaim } from "@hetmem/mm/ports";
import { NULL_PAGE } from "@hetmem/page";
import { NO_ENTRY, Pte } from "@hetmem/page-table";
import { badnessChoice, SwapSpace } from "@hetmem/reclaim";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import type { Obligation } from "../conformance.ts";
import { at, type TrialMachine, trialMachine } from "../machine.ts";
import { finishes } from "../steps.ts";

/** The node with RAM. */
export const NODE: NodeId = nodeId(0);
/** The OOM killer spares processes with this adjustment. @see OOM_SCORE_ADJ_MIN */
const UNKILLABLE = -1000;

/** Reclaim, as the kit makes it. Swap, files and memory cgroups are those of hetmem. */
export interface ReclaimUnderTest {
  /** For reports. */
  readonly name: string;
  /** Makes the reclaim of one machine. Called once for each trial. */
  create(vm: Vm): PageReclaim;
}

export interface Trial {
  readonly seed: number;
  readonly machine: TrialMachine;
  readonly vm: Vm;
  readonly reclaim: PageReclaim;
  readonly memcgs: MemoryCgroups;
  readonly limits: Limits;
  readonly swap: WatchedSwap;
}

export interface TrialOptions {
  /** Whether the machine has swap: 4 MiB when true or absent. */
  readonly swapping?: boolean;
  readonly oomChoice?: OomChoice;
  /** Nodes without memory: none when absent. */
  readonly emptyNodes?: number;
}

interface Rule extends TrialOptions {
  readonly name: string;
  readonly sentence: string;
  try(trial: Trial): Sleeps<void>;
}

/** An obligation whose trial is one task. */
export function obligation({ name, sentence, try: attempt, ...options }: Rule): Obligation<ReclaimUnderTest> {
  return { name, sentence, attempt: (subject, seed) => run(attempt(createTrial(subject, seed, options))) };
}

/** Swap that notes whether its users say that they reclaim. */
export class WatchedSwap extends SwapSpace {
  /** Slots asked for by a task that reclaims, and by one that doesn't. */
  readonly asked: { reclaiming: number; otherwise: number } = { reclaiming: 0, otherwise: 0 };

  override allocSlot(page: Page): number {
    this.asked[this.vm.reclaim.isReclaiming ? "reclaiming" : "otherwise"]++;
    return super.allocSlot(page);
  }
}

function createTrial(subject: ReclaimUnderTest, seed: number, options: TrialOptions): Trial {
  const { swapping = true, oomChoice = badnessChoice, emptyNodes = 0 } = options;
  let limits: Limits | undefined;
  let swap: WatchedSwap | undefined;
  const machine = trialMachine({
    emptyNodes,
    parts(memory) {
      limits = new Limits(new MemoryCgroups(memory));
      return {
        charging: limits.memcgs.charging,
        swap: (vm) => (swap = new WatchedSwap(vm)),
        reclaim: (vm) => subject.create(vm),
        oomChoice: () => oomChoice,
        tunables: { overcommitMemory: 1 },
      };
    },
  });
  if (limits === undefined || swap === undefined)
    throw new KernelBug("the machine of the kit was made without its parts");
  if (swapping) swap.swapon({ path: "/dev/swap", size: 4 * MiB });
  const { vm } = machine;
  return { seed, machine, vm, reclaim: vm.reclaim, memcgs: limits.memcgs, limits, swap };
}

/** Starts a process that has written its number to each of some pages. @param adj its oom_score_adj */
export function* spawn(
  { vm, memcgs }: Trial,
  pages: number,
  cgroup: MemoryCgroup = memcgs.root,
  adj: number = UNKILLABLE,
): Sleeps<Process> {
  const mm = allocMm(vm, NODE, 0, cgroup.id);
  if (mm === undefined) throw new KernelBug("the machine of the kit has no room for a process");
  const process = vm.processes.add("process", mm, undefined);
  process.oomScoreAdj = adj;
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  yield* mmap(mm, { address: at(0), length: pages * PAGE_SIZE, prot: Prot.READ | Prot.WRITE, flags });
  for (let i = 0; i < pages; i++) yield* writeUser(process, at(i), contentsOf(process, i));
  return process;
}

/** The bytes that a process has written to a page. */
export function contentsOf({ pid }: Process, page: number): Uint8Array {
  return Uint8Array.of(pid, page & 0xff, page >> 8, 0x5a);
}

export function mmOf({ mm, pid }: Process): MmStruct {
  if (mm === undefined) throw new KernelBug(`process ${pid} has exited`);
  return mm;
}

/** The page that is mapped at a page of a process; undefined where none is. */
export function mapped(process: Process, page: number): Page | undefined {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(at(page));
  const present = entry !== NO_ENTRY && (pageTable.flags(entry) & Pte.present) !== 0;
  return present ? (pageTable.value(entry) as Page) : undefined;
}

/** Takes all free pages, until the allocator refuses. @returns the pages */
export function fillMemory({ machine: { memory } }: Trial): Page[] {
  const taken: Page[] = [];
  // Ends: memory is finite.
  for (;;) {
    const page = memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, NODE);
    if (page === NULL_PAGE) return taken;
    taken.push(page);
  }
}

/** Asks reclaim for a page. @returns undefined when it goes on and on */
export function* request(
  { reclaim }: Trial,
  {
    gfp = GFP_HIGHUSER_MOVABLE,
    mm,
    nodemask,
  }: { gfp?: number; mm?: MmStruct; nodemask?: readonly NodeId[] } = {},
): Sleeps<Page | undefined> {
  return (yield* finishes(reclaim.allocSlowly(gfp, 0, NODE, mm, nodemask)))?.result;
}

/**
 * Fills memory, asks for more pages one after the other until one is refused, and gives all of them back.
 *
 * @param pages number of pages to ask for
 * @param within runs while memory is full
 */
export function* press(trial: Trial, pages: number, within?: () => void): Sleeps<void> {
  const taken = fillMemory(trial);
  for (let i = 0; i < pages; i++) {
    const page = yield* request(trial);
    if (page === undefined || page === NULL_PAGE) break;
    taken.push(page);
  }
  within?.();
  for (const page of taken) trial.vm.memmap.putPage(page);
}

/** Isolates mapped pages, as a caller of reclaimPages() does, as if they had not been used lately. */
export function isolate({ vm }: Trial, process: Process, pages: number): Page[] {
  const { pageTable } = mmOf(process);
  const isolated: Page[] = [];
  for (let i = 0; i < pages; i++) {
    const page = mapped(process, i);
    if (page === undefined || !vm.lru.isolate(page)) throw new KernelBug(`page ${i} is on no list`);
    const entry = pageTable.find(at(i));
    pageTable.setFlags(entry, pageTable.flags(entry) & ~Pte.accessed);
    isolated.push(page);
  }
  return isolated;
}
