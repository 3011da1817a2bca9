// Random families of processes that share huge pages of the pool: each reads what it wrote or was born with, the one that
// was promised pages always gets them, and in the end all of them are free. HETMEM_RUNS says how many families.
import { assertInvariants, run } from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  munmap,
  type Process,
  readUser,
  vmInvariants,
  writeUser,
} from "@hetmem/mm";
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
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { hugetlbPool } from "../src/hugetlb-pool.ts";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 200);
/** Two private huge pages, and a shared one. */
const PLACES = 3;
const SHARED = 2;

interface Member {
  readonly process: Process;
  /** What it would read in each place; undefined where it has unmapped it. Of the shared one only whether it is mapped. */
  readonly values: (number | undefined)[];
}

class Family {
  readonly machine: HugetlbMachine;
  readonly members: Member[] = [];
  private readonly starts: readonly ReturnType<typeof hugeAt>[];
  private readonly owner: Process;
  private shared = 0;
  private readonly freeAtStart: number;

  constructor(spare: number, overcommit: number) {
    this.machine = hugetlbMachine(0);
    this.freeAtStart = this.machine.freePages();
    run(hugetlbPool(this.machine.vm).resize(PLACES + spare));
    hugetlbPool(this.machine.vm).overcommit = overcommit;
    this.owner = this.machine.spawn();
    const start = mapHuge(this.owner, 2);
    this.starts = [start, hugeAt(start, 1), mapHuge(this.owner, 1, SHARED_HUGE)];
    this.members.push({ process: this.owner, values: [0, 0, 0] });
  }

  write(who: number, place: number, value: number): void {
    const member = this.member(who);
    if (!member || member.values[place] === undefined) return;
    const signal = run(writeUser(member.process, this.address(place), Uint8Array.of(value)));
    if (signal) return this.killed(member, signal.signo);
    member.values[place] = value;
    if (place === SHARED) this.shared = value;
  }

  fork(who: number): void {
    const member = this.member(who);
    if (member && this.members.length < 4)
      this.members.push({ process: run(forkProcess(member.process)), values: [...member.values] });
  }

  unmap(who: number, place: number): void {
    const member = this.member(who);
    if (!member || member.values[place] === undefined) return;
    run(munmap(mmOf(member.process), this.starts[place] as never, HUGE));
    member.values[place] = undefined;
  }

  exit(who: number): void {
    const member = this.member(who);
    if (!member) return;
    this.members.splice(this.members.indexOf(member), 1);
    run(exitProcess(member.process));
  }

  check(): void {
    const { vm } = this.machine;
    assertInvariants(vm, [...vmInvariants, ...coverageInvariants]);
    expect(promisedPages(vm)).toBe(hugetlbPool(vm).counts.reserved);
  }

  readAll(): void {
    for (const member of this.members.slice()) {
      for (let place = 0; place < PLACES && this.members.includes(member); place++) {
        if (member.values[place] === undefined) continue;
        const into = new Uint8Array(1);
        const signal = run(readUser(member.process, this.address(place), into));
        if (signal) this.killed(member, signal.signo);
        else expect(into[0]).toBe(place === SHARED ? this.shared : member.values[place]);
      }
    }
  }

  /** All pages are free, and go back to the allocator. */
  finish(): void {
    const { vm, freePages } = this.machine;
    const { total, free, reserved } = hugetlbPool(vm).counts;
    expect([free, reserved]).toEqual([total, 0]);
    // One may still count as surplus: who was promised a page got one of another node.
    run(hugetlbPool(vm).resize(total));
    run(hugetlbPool(vm).resize(0));
    expect(pool(this.machine)).toEqual([0, 0, 0, 0]);
    expect(freePages()).toBe(this.freeAtStart);
  }

  /** Who wasn't promised pages may find none. */
  private killed(member: Member, signo: string): void {
    expect(signo).toBe("SIGBUS");
    expect(member.process).not.toBe(this.owner);
    this.exit(this.members.indexOf(member));
  }

  private address(place: number): ReturnType<typeof hugeAt> {
    return ((this.starts[place] as number) + HUGE - 1) as ReturnType<typeof hugeAt>;
  }

  private member(who: number): Member | undefined {
    return this.members[who % Math.max(this.members.length, 1)];
  }
}

const who = fc.nat({ max: 3 });
const place = fc.nat({ max: PLACES - 1 });
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      who,
      place,
      value: fc.integer({ min: 1, max: 250 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("fork" as const), who }) },
  fc.record({ kind: fc.constant("unmap" as const), who, place }),
  fc.record({ kind: fc.constant("exit" as const), who }),
  fc.record({ kind: fc.constant("read" as const) }),
  fc.record({ kind: fc.constant("resize" as const), pages: fc.integer({ min: 0, max: 6 }) }),
);

test("families read what they wrote, owners get what they were promised, and all pages are free in the end", () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 2 }),
      fc.nat({ max: 1 }),
      fc.array(step, { maxLength: 25 }),
      (spare, overcommit, steps) => {
        const family = new Family(spare, overcommit);
        for (const each of steps) {
          if (each.kind === "write") family.write(each.who, each.place, each.value);
          else if (each.kind === "fork") family.fork(each.who);
          else if (each.kind === "unmap") family.unmap(each.who, each.place);
          else if (each.kind === "exit") family.exit(each.who);
          else if (each.kind === "read") family.readAll();
          else run(hugetlbPool(family.machine.vm).resize(each.pages));
          family.check();
        }
        family.readAll();
        while (family.members.length > 0) family.exit(0);
        family.check();
        family.finish();
      },
    ),
    { numRuns: RUNS },
  );
}, 3_600_000);
