// Huge pages of a pool that has just enough, while processes touch, fork, pin, write and exit at once: nobody who was
// promised a page is told that there is none, nobody reads what another wrote privately, and in the end the pool is whole.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { pinUserPagesFast, unpinUserPages } from "@hetmem/gup";
import {
  assertInvariants,
  condResched,
  KernelBug,
  MiB,
  type Page,
  run,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import { exitProcess, forkProcess, Madv, type Process, readUser, vmInvariants, writeUser } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { coverageInvariants } from "@hetmem/mmu-notifier";
import {
  HUGE,
  hugeAt,
  hugetlbMachine,
  type HugetlbMachine,
  mapHuge,
  pool,
  promisedPages,
  SHARED_HUGE,
} from "@hetmem/test-machines/hugetlb-machine";
import { mmOf } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { hugetlbPool } from "../src/hugetlb-pool.ts";

/** Two private pages and two shared ones, and nothing to spare. */
const PAGES = 4;
const LOOK_EVERY = 10;

type Task = "parent" | "child" | "shared" | "fork" | "drop" | "exit" | "pin" | "resize";

class World {
  readonly machine: HugetlbMachine = hugetlbMachine(PAGES, { nodes: [16 * MiB] });
  private readonly owner: Process;
  private readonly heir: Process;
  private readonly start: VirtAddr;
  private readonly common: VirtAddr;
  private steps = 0;

  constructor() {
    this.owner = this.machine.spawn();
    this.start = mapHuge(this.owner, 2);
    this.common = mapHuge(this.owner, 2, SHARED_HUGE);
    run(this.writeByte(this.owner, this.start, 1));
    this.heir = run(forkProcess(this.owner));
  }

  /** It was promised both pages: with none to spare it gets the first one from the child. */
  *parent(): Sleeps<void> {
    for (const [i, value] of [2, 3].entries())
      if (!(yield* this.writeByte(this.owner, hugeAt(this.start, i), value)))
        throw new KernelBug("the process that was promised a page got none");
  }

  *child(): Sleeps<void> {
    const into = new Uint8Array(1);
    if (!this.heir.mm || (yield* readUser(this.heir, this.start, into))) return;
    if (into[0] !== 1) throw new KernelBug(`the child reads ${into[0]}, which its parent wrote later`);
    yield* this.writeByte(this.heir, this.start, 9);
  }

  *shared(): Sleeps<void> {
    for (const [i, process] of [this.owner, this.heir].entries())
      if (process.mm && !(yield* this.writeByte(process, hugeAt(this.common, i), 5 + i)) && process.mm)
        throw new KernelBug("a shared page that was promised isn't there");
  }

  *fork(): Sleeps<void> {
    const grandchild = yield* forkProcess(this.heir.mm ? this.heir : this.owner);
    yield* this.writeByte(grandchild, this.start, 7);
    yield condResched;
    yield* exitProcess(grandchild);
  }

  *drop(): Sleeps<void> {
    if (this.heir.mm) yield* madvise(mmOf(this.heir), this.start, HUGE, Madv.DONTNEED);
  }

  *exit(): Sleeps<void> {
    yield* exitProcess(this.heir);
  }

  /** What a device writes to a pinned page, the process reads. */
  *pin(): Sleeps<void> {
    const { vm } = this.machine;
    const into = new Int32Array(1);
    yield* pinUserPagesFast(mmOf(this.owner), hugeAt(this.common, 1), 1, { write: true }, into);
    yield condResched;
    vm.memmap.contents.write(into[0] as Page, 8, Uint8Array.of(8));
    yield condResched;
    unpinUserPages(vm, into);
  }

  *resize(): Sleeps<void> {
    for (const pages of [0, PAGES]) yield* hugetlbPool(this.machine.vm).resize(pages);
  }

  scenario(...names: readonly Task[]): Scenario {
    return {
      kernel: this.machine.kernel,
      tasks: Object.fromEntries(names.map((name) => [name, () => this[name]()])),
      afterStep: () => {
        if (this.steps++ % LOOK_EVERY !== 0) return;
        const { vm } = this.machine;
        assertInvariants(vm, coverageInvariants);
        if (![...vm.addressSpaces].some((mm) => mm.mmapLock.writeLocked)) assertInvariants(vm, vmInvariants);
      },
      afterwards: () => this.finish(),
    };
  }

  private finish(): void {
    const { vm } = this.machine;
    assertInvariants(vm, vmInvariants);
    expect(promisedPages(vm)).toBe(hugetlbPool(vm).counts.reserved);
    for (const process of vm.processes) run(exitProcess(process));
    expect(pool(this.machine)).toEqual([PAGES, PAGES, 0, 0]);
    expect(vm.anonVmas.count).toBe(0);
  }

  private *writeByte(process: Process, address: VirtAddr, value: number): Sleeps<boolean> {
    return (yield* writeUser(process, address, Uint8Array.of(value))) === undefined;
  }
}

const CASES: readonly (readonly Task[])[] = [
  ["parent", "child"],
  ["parent", "fork"],
  ["parent", "child", "exit"],
  ["parent", "child", "drop"],
  ["shared", "pin", "exit"],
  ["shared", "fork"],
  ["parent", "shared", "resize"],
];
const PLAN = rivalsPlan(process.env, CASES.length);

for (const names of CASES) {
  test(`a pool with nothing to spare keeps its promises to ${names.join(", ")}`, () => {
    const { endings } = runRivals(() => new World().scenario(...names), PLAN);
    for (const name of names) expect([...endings.keys()]).toContain(`${name}: done`);
  }, 3_600_000);
}
