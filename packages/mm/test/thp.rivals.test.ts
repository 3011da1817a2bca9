// A huge page that is divided, put together again, moved and write-protected, while its process writes to it, forks, drops
// parts of it and has them pinned. In the end each page holds what was written last, and nothing is lost.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { exitAll } from "@hetmem/test-machines/exit-all";
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { pinUserPagesFast, unpinUserPages } from "@hetmem/gup";
import {
  assertInvariants,
  condResched,
  KernelBug,
  MiB,
  nodeId,
  type Page,
  Random,
  run,
  type Sleeps,
} from "@hetmem/kernel";
import { collapseHugePage } from "@hetmem/khugepaged";
import {
  MigrateMode,
  migratePages,
  MigrateReason,
  migrationTarget,
  putbackMovablePages,
} from "@hetmem/migrate";
import { coverageInvariants } from "@hetmem/mmu-notifier";
import { nodeStat } from "@hetmem/test-machines/counters";
import { RW } from "@hetmem/test-machines/files";
import { at, mapPages } from "@hetmem/test-machines/mappings";
import { hugeAt, hugeMachine, PARTS, smallAt } from "@hetmem/test-machines/thp";
import { mmOf, PAGE, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { expect, test } from "vitest";
import { splitHugePage } from "../src/huge/split-page.ts";
import { vmInvariants } from "../src/invariants.ts";
import { lockPage, unlockPage } from "../src/page-lock.ts";
import { readUser, writeUser } from "../src/process/access.ts";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import type { Process } from "../src/process/process.ts";
import { madvise } from "@hetmem/madvise";
import { Madv } from "../src/vma/map-flags.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { Prot } from "../src/vma/vm-flags.ts";

const LOOK_EVERY = 40;
/** Pages that are written, and one that is dropped. */
const WRITTEN = [0, 1, 511] as const;
const DROPPED = 300;
const HUGE = PARTS * PAGE;

class World {
  readonly machine: VmMachine = hugeMachine({ nodes: [16 * MiB, 16 * MiB] });
  readonly random: Random;
  readonly process: Process;
  readonly free: number;
  readonly written = new Map<number, string>();
  private steps = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.free = this.machine.freePages();
    this.process = this.machine.spawn();
    mapPages(this.process, 0, PARTS);
    for (const page of WRITTEN) run(this.writeTo(page, "a"));
  }

  *writeTo(page: number, letter: string): Sleeps<void> {
    if (!(yield* writeUser(this.process, at(page), new TextEncoder().encode(letter))))
      this.written.set(page, letter);
  }

  *write(): Sleeps<void> {
    for (const letter of "bcde") yield* this.writeTo(this.random.pick(WRITTEN), letter);
  }

  /** Divides the page, or what was it. */
  *divide(): Sleeps<void> {
    const { memmap, pages } = this.machine.vm;
    const head = this.head();
    if (head === undefined || !memmap.getPageUnlessZero(head)) return;
    yield* lockPage(memmap, head);
    if (memmap.compoundOrder(head) > 0) yield* splitHugePage(this.machine.vm, head);
    unlockPage(memmap, head);
    pages.put(head);
  }

  *migrate(): Sleeps<void> {
    const { vm } = this.machine;
    const head = this.head();
    if (head === undefined || !vm.lru.isolate(head)) return;
    const target = migrationTarget(vm, { node: nodeId(1), gfp: GFP_HIGHUSER_MOVABLE });
    const { failed } = yield* migratePages(vm, [head], target, MigrateMode.Sync, MigrateReason.Syscall);
    putbackMovablePages(
      vm,
      failed.map(({ page }) => page),
    );
  }

  *collapse(): Sleeps<void> {
    for (let i = 0; i < 2; i++) yield* collapseHugePage(mmOf(this.process), at(0), "madvise");
  }

  *drop(): Sleeps<void> {
    yield* madvise(mmOf(this.process), at(DROPPED), PAGE, Madv.DONTNEED);
  }

  *protect(): Sleeps<void> {
    const mm = mmOf(this.process);
    const first = this.random.pick([0, 256]);
    yield* mprotect(mm, at(first), HUGE - first * PAGE, this.random.pick([Prot.NONE, Prot.READ]));
    yield condResched;
    yield* mprotect(mm, at(0), HUGE, RW);
  }

  *fork(): Sleeps<void> {
    const child = yield* forkProcess(this.process);
    yield* writeUser(child, at(1), new TextEncoder().encode("child"));
    yield condResched;
    yield* exitProcess(child);
  }

  /** What a device writes to a pinned page, the process reads. */
  *pin(): Sleeps<void> {
    const { vm } = this.machine;
    const into = new Int32Array(1);
    yield* pinUserPagesFast(mmOf(this.process), at(2), 1, { write: true }, into);
    yield condResched;
    vm.memmap.contents.write(into[0] as Page, 0, new TextEncoder().encode("dma"));
    this.written.set(2, "d");
    yield condResched;
    unpinUserPages(vm, [into[0] as Page]);
  }

  scenario(
    ...names: readonly ("write" | "divide" | "migrate" | "collapse" | "drop" | "protect" | "fork" | "pin")[]
  ): Scenario {
    return {
      kernel: this.machine.kernel,
      tasks: Object.fromEntries(names.map((name) => [name, () => this[name]()])),
      afterStep: () => {
        if (this.steps++ % LOOK_EVERY === 0) this.look();
      },
      afterwards: () => this.finish(),
    };
  }

  private look(): void {
    const { vm } = this.machine;
    assertInvariants(vm, coverageInvariants);
    assertInvariants(vm, vmInvariants);
  }

  private head(): Page | undefined {
    const page = hugeAt(this.process, at(0)) ?? smallAt(this.process, at(0));
    return page === undefined ? page : this.machine.vm.memmap.compoundHead(page);
  }

  private finish(): void {
    const { vm } = this.machine;
    this.look();
    for (const [page, letter] of this.written) {
      const into = new Uint8Array(1);
      const signal = run(readUser(this.process, at(page), into));
      const found = String.fromCharCode(into[0] ?? 0);
      if (signal || found !== letter)
        throw new KernelBug(`page ${page} holds ${signal?.reason ?? found}, not ${letter}`);
    }
    exitAll(this.machine, this.free);
    if ([...vm.deferredSplits].length > 0) throw new KernelBug("a page that is free waits to be divided");
    for (const name of ["nr_anon_pages", "nr_anon_transparent_hugepages", "nr_isolated_anon"] as const)
      if (nodeStat(vm, name) !== 0) throw new KernelBug(`${name} is ${nodeStat(vm, name)} in the end`);
  }
}

const CASES = [
  ["write", "divide", "collapse"],
  ["write", "divide", "fork"],
  ["write", "divide", "drop", "protect"],
  ["write", "collapse", "fork"],
  ["write", "collapse", "pin", "drop"],
  ["write", "divide", "pin"],
  ["write", "migrate", "protect", "collapse"],
  ["write", "migrate", "fork", "pin"],
] as const;
const PLAN = rivalsPlan(process.env, CASES.length);

for (const names of CASES) {
  test(`a huge page in the hands of ${names.join(", ")} holds what was written last`, () => {
    const { endings, schedules } = runRivals((seed) => new World(seed).scenario(...names), PLAN);
    for (const name of names) expect(endings.get(`${name}: done`)).toBe(schedules);
  }, 3_600_000);
}
