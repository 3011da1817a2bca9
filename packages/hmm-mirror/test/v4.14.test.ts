// The interface of 4.14: mirrors, the struct hmm that those of one address space share, and snapshots that are watched.
import { KernelBug, MiB, run, type Sleeps, virtAddr, type VirtAddr } from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  Madv,
  type MmStruct,
  mprotect,
  munmap,
  type Process,
  Prot,
  type Vma,
} from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { remapPfnRange } from "@hetmem/mm/vma";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  invalidateRangeStartNonblock,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { EntryKind } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import { VmEvent } from "@hetmem/zone";
import { describe, expect, test } from "vitest";
import {
  allocHmmPfns,
  HMM_FAULT_POINT,
  HmmMirror,
  type HmmMirrorOps,
  hmmMirrorRegister,
  hmmMirrorUnregister,
  hmmOf,
  hmmVmaFault,
  hmmVmaGetPfns,
  HmmVmaPfn,
  type HmmVmaRange,
  hmmVmaRangeDone,
} from "../src/index.ts";
import {
  at,
  BASE,
  entryOf,
  mapDevice,
  mapPages,
  mirrorMachine,
  NO_RAM,
  read,
  RW,
  setEntryFlags,
  withMovingPage,
  write,
} from "@hetmem/test-machines/mirror-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

/** What mirrors were told: `a 2+1` for a page, `a release`. */
function recorder(log: string[], name: string): HmmMirror {
  return new HmmMirror(
    {
      *syncCpuDevicePagetables(_mirror, update, start, end) {
        log.push(end > 2 ** 47 ? `${name} all` : `${name} ${(start - BASE) / PAGE}+${(end - start) / PAGE}`);
        if (update !== "invalidate") throw new Error(update);
      },
      *release() {
        log.push(`${name} release`);
      },
    },
    undefined,
  );
}

function* registerTask(mirror: HmmMirror, mm: MmStruct): Sleeps<void> {
  yield* mm.mmapLock.downWrite();
  try {
    yield* hmmMirrorRegister(mirror, mm);
  } finally {
    mm.mmapLock.upWrite();
  }
}

function mirrored(pages = 4): { process: Process; mm: MmStruct; mirror: HmmMirror; log: string[] } {
  const process = mirrorMachine().spawn();
  mapPages(process, 0, pages);
  const log: string[] = [];
  const mirror = recorder(log, "a");
  run(registerTask(mirror, mmOf(process)));
  return { process, mm: mmOf(process), mirror, log };
}

function vmaOf(mm: MmStruct, address: VirtAddr = at(0)): Vma {
  const vma = mm.vmas.at(address);
  if (!vma) throw new Error("nothing is mapped");
  return vma;
}

const BITS = Object.entries(HmmVmaPfn);

/** The bits of each page, by name. */
function said({ pfns }: { readonly pfns: Int32Array }): string[] {
  return Array.from({ length: pfns.length / 2 }, (_, i) =>
    BITS.filter(([, bit]) => ((pfns[i * 2 + 1] as number) & bit) !== 0)
      .map(([name]) => name)
      .join(" "),
  );
}

function getPfns(mm: MmStruct, count: number, first = 0): HmmVmaRange {
  run(mm.mmapLock.downRead());
  try {
    return run(hmmVmaGetPfns(vmaOf(mm, at(first)), at(first), at(first + count), allocHmmPfns(count)));
  } finally {
    mm.mmapLock.upRead();
  }
}

function fault(
  mm: MmStruct,
  count: number,
  writes: boolean,
  pfns: Int32Array = allocHmmPfns(count),
): HmmVmaRange {
  run(mm.mmapLock.downRead());
  try {
    return run(hmmVmaFault(vmaOf(mm), at(0), at(count), pfns, writes));
  } finally {
    mm.mmapLock.upRead();
  }
}

describe("struct hmm", () => {
  test("comes with the first mirror, is shared, and goes with the last", () => {
    const { mm, mirror, log } = mirrored();
    const hmm = hmmOf(mm);
    const second = recorder(log, "b");
    run(registerTask(second, mm));
    expect(hmmOf(mm)).toBe(hmm);
    expect(hmm?.mirrors).toEqual([mirror, second]);
    run(hmmMirrorUnregister(mirror));
    expect(hmmOf(mm)).toBe(hmm);
    run(hmmMirrorUnregister(second));
    expect(hmmOf(mm)).toBeUndefined();
    expect(mm.notifiers?.itree.size).toBe(0);
    run(registerTask(mirror, mm));
    expect(hmmOf(mm)).not.toBe(hmm);
  });

  test("is one for each address space", () => {
    const { process, mm, log } = mirrored();
    const child = run(forkProcess(process));
    expect(hmmOf(mmOf(child))).toBeUndefined();
    run(registerTask(recorder(log, "c"), mmOf(child)));
    expect(hmmOf(mmOf(child))).not.toBe(hmmOf(mm));
  });

  test("that there is no memory for fails with ENOMEM, and nobody is registered", () => {
    const machine = mirrorMachine();
    const process = machine.spawn();
    machine.kernel.faults.point(HMM_FAULT_POINT).arm({ probability: 100, times: 1 });
    const mirror = recorder([], "a");
    expect(outcome(() => run(registerTask(mirror, mmOf(process))))).toBe("ENOMEM");
    expect(hmmOf(mmOf(process))).toBeUndefined();
    run(registerTask(mirror, mmOf(process)));
    expect(hmmOf(mmOf(process))?.mirrors).toEqual([mirror]);
  });
});

describe("a mirror", () => {
  test("hears of every change of the address space, and so does each other", () => {
    const { mm, log } = mirrored();
    run(registerTask(recorder(log, "b"), mm));
    run(munmap(mm, at(1), PAGE));
    expect(log).toEqual(["a 1+1", "b 1+1"]);
  });

  test("hears before the page goes, not behind it", () => {
    const { process, mm, mirror } = mirrored();
    write(process, 1, 1);
    const seen: number[] = [];
    run(hmmMirrorUnregister(mirror));
    const ops: HmmMirrorOps = {
      *syncCpuDevicePagetables() {
        seen.push(entryOf(process, 1)[0]);
      },
    };
    const [page] = entryOf(process, 1);
    run(registerTask(new HmmMirror(ops, undefined), mm));
    run(munmap(mm, at(1), PAGE));
    expect(seen).toEqual([page]);
  });

  test("hears nothing after it was unregistered", () => {
    const { mm, mirror, log } = mirrored();
    run(hmmMirrorUnregister(mirror));
    run(munmap(mm, at(1), PAGE));
    expect(log).toEqual([]);
    expect(() => run(hmmMirrorUnregister(mirror))).toThrow(KernelBug);
  });

  test("is told to drop everything when the process exits, and then that it is over", () => {
    const { process, mm, mirror, log } = mirrored();
    run(registerTask(recorder(log, "b"), mm));
    run(exitProcess(process));
    expect(log).toEqual(["a all", "b all", "a release", "b release"]);
    run(hmmMirrorUnregister(mirror));
    expect(log).toHaveLength(4);
  });

  test("may be unregistered in its release", () => {
    const { process, mm, mirror } = mirrored();
    const log: string[] = [];
    const leaving = new HmmMirror(
      {
        *syncCpuDevicePagetables() {},
        *release(self) {
          log.push("release");
          yield* hmmMirrorUnregister(self);
        },
      },
      undefined,
    );
    run(registerTask(leaving, mm));
    run(hmmMirrorUnregister(mirror));
    run(exitProcess(process));
    expect(log).toEqual(["release"]);
    expect(leaving.life).toBeUndefined();
  });

  test("may sleep, so that who can't wait leaves the address space alone", () => {
    const { mm, mirror } = mirrored();
    const range = { mm, start: at(0), end: at(1), event: MmuNotifyEvent.Clear };
    expect(invalidateRangeStartNonblock(range)).toBe(false);
    run(hmmMirrorUnregister(mirror));
    expect(invalidateRangeStartNonblock(range)).toBe(true);
    run(invalidateRangeEnd(range));
  });

  test("is registered once, with the mmap lock held for writing", () => {
    const { mm, mirror } = mirrored();
    expect(() => run(registerTask(mirror, mm))).toThrow(KernelBug);
    expect(() => run(hmmMirrorRegister(recorder([], "b"), mm))).toThrow(KernelBug);
  });
});

describe("a snapshot", () => {
  test("tells what is there, what was never touched, and what the mapping allows", () => {
    const { process, mm } = mirrored(4);
    write(process, 0, 1);
    write(process, 1, 1);
    expect(read(process, 2)).toBe(0);
    run(forkProcess(process));
    write(process, 0, 2);
    expect(said(getPfns(mm, 4))).toEqual(["valid read write", "valid read", "valid read", "empty"]);
    run(mprotect(mm, at(0), 4 * PAGE, Prot.NONE));
    expect(said(getPfns(mm, 4)).slice(0, 2)).toEqual(["valid", "valid"]);
    run(mprotect(mm, at(0), 4 * PAGE, RW));
  });

  test("gives pages of any device, and says that the cpu can't reach them", () => {
    const { process, mm } = mirrored(2);
    for (const page of [0, 1]) write(process, page, 1);
    setEntryFlags(process, 0, EntryKind.devicePrivateWrite);
    setEntryFlags(process, 1, EntryKind.devicePrivateRead);
    const range = getPfns(mm, 2);
    expect(said(range)).toEqual(["valid read write deviceUnaddressable", "valid read deviceUnaddressable"]);
    expect(range.pfns[0]).toBe(entryOf(process, 0)[0]);
  });

  test("tells pages that are in swap, or on their way, from those that never were", () => {
    const machine = mirrorMachine();
    swapSpace(machine.vm).swapon({ path: "/dev/swap", size: MiB });
    const process = machine.spawn();
    const mm = mmOf(process);
    const arrive = withMovingPage(machine, process);
    mapPages(process, 2, 1);
    write(process, 2, 1);
    run(madvise(mm, at(2), PAGE, Madv.PAGEOUT));
    run(registerTask(recorder([], "a"), mm));
    expect(said(getPfns(mm, 3))).toEqual(["", "empty", ""]);
    arrive();
    expect(said(getPfns(mm, 3))).toEqual(["valid read write", "empty", ""]);
  });

  test("is true until something of it changes, and what changed is forgotten", () => {
    const { process, mm } = mirrored(4);
    for (let page = 0; page < 4; page++) write(process, page, 1);
    const range = getPfns(mm, 2);
    run(munmap(mm, at(3), PAGE));
    expect(range.valid).toBe(true);
    run(munmap(mm, at(1), PAGE));
    expect(said(range)).toEqual(["valid read write", ""]);
    expect(hmmVmaRangeDone(range)).toBe(false);
    const again = getPfns(mm, 1);
    expect(hmmVmaRangeDone(again)).toBe(true);
    expect(hmmVmaRangeDone(again)).toBe(false);
  });

  test("waits for a change that has begun: what it would see may be gone already", () => {
    const { mm } = mirrored(2);
    const change = { mm, start: at(0), end: at(1), event: MmuNotifyEvent.Clear };
    run(invalidateRangeStart(change));
    run(mm.mmapLock.downRead());
    const task = hmmVmaGetPfns(vmaOf(mm), at(0), at(1), allocHmmPfns(1));
    const step = task.next();
    if (step.done === true) throw new Error("it didn't wait");
    expect(step.value.ready()).toBe(false);
    run(invalidateRangeEnd(change));
    expect(hmmVmaRangeDone(run(task))).toBe(true);
    mm.mmapLock.upRead();
  });

  test("outside of its mapping, of a device's registers or without a mirror fails with EINVAL", () => {
    const { process, mm, mirror } = mirrored(2);
    mapDevice(process, 8, 1, (vma) => remapPfnRange(vma, vma.start, NO_RAM, PAGE));
    const vma = vmaOf(mm);
    const errno = (start: number, end: number): string =>
      outcome(() => run(hmmVmaGetPfns(vma, virtAddr(start), virtAddr(end), allocHmmPfns(4))));
    expect([errno(at(0) - PAGE, at(1)), errno(at(0), at(3)), errno(at(0), at(0))]).toEqual(
      Array.from({ length: 3 }, () => "EINVAL"),
    );
    const pfns = allocHmmPfns(1);
    expect(outcome(() => run(hmmVmaGetPfns(vmaOf(mm, at(8)), at(8), at(9), pfns)))).toBe("EINVAL");
    expect(said({ pfns })).toEqual(["special"]);
    run(hmmMirrorUnregister(mirror));
    expect(errno(at(0), at(1))).toBe("EINVAL");
    run(munmap(mm, at(8), PAGE));
  });
});

describe("a fault", () => {
  test("brings what isn't there, to be read or to be written", () => {
    const { process, mm } = mirrored(600);
    expect(said(fault(mm, 2, false)).slice(0, 2)).toEqual(["valid read", "valid read"]);
    write(process, 1, 1);
    const child = run(forkProcess(process));
    expect(said(fault(mm, 2, true))).toEqual(["valid read write", "valid read write"]);
    expect(entryOf(child, 1)[0]).not.toBe(entryOf(process, 1)[0]);
  });

  test("waits for a page that is on its way, and brings nothing else then", () => {
    const machine = mirrorMachine();
    const process = machine.spawn();
    const mm = mmOf(process);
    const arrive = withMovingPage(machine, process);
    run(registerTask(recorder([], "a"), mm));
    run(mm.mmapLock.downRead());
    const task = hmmVmaFault(vmaOf(mm), at(0), at(1), allocHmmPfns(1), false);
    const before = machine.memory.allocator.events[VmEvent.pgfault];
    const step = task.next();
    if (step.done === true) throw new Error("it didn't wait");
    expect([step.value.why, step.value.ready()]).toEqual(["migration entry", false]);
    arrive();
    expect(hmmVmaRangeDone(run(task))).toBe(true);
    expect(machine.memory.allocator.events[VmEvent.pgfault]).toBe(before);
    mm.mmapLock.upRead();
  });

  test("to write moves a page back that its device may only read", () => {
    const machine = mirrorMachine();
    const process = machine.spawn();
    const mm = mmOf(process);
    mapPages(process, 0, 1);
    write(process, 0, 1);
    run(registerTask(recorder([], "a"), mm));
    setEntryFlags(process, 0, EntryKind.devicePrivateRead);
    expect(said(fault(mm, 1, false))).toEqual(["valid read deviceUnaddressable"]);
    fault(mm, 1, true);
    expect(machine.movedBack).toEqual([entryOf(process, 0)[0]]);
    expect(said(fault(mm, 1, true))).toEqual(["valid read write"]);
  });

  test("that copies a page is itself a change: it begins again", () => {
    const { process, mm } = mirrored(1);
    write(process, 0, 1);
    run(forkProcess(process));
    const range = fault(mm, 1, true);
    expect(hmmVmaRangeDone(range)).toBe(false);
    expect(hmmVmaRangeDone(fault(mm, 1, true))).toBe(true);
  });

  test("that fails leaves unknown what is behind, and nothing to be ended", () => {
    const { process, mm } = mirrored(2);
    write(process, 0, 1);
    run(mprotect(mm, at(0), 2 * PAGE, Prot.READ));
    const pfns = allocHmmPfns(2).fill(99);
    expect(outcome(() => fault(mm, 2, true, pfns))).toBe("EPERM");
    expect([...pfns]).toEqual([0, 0, 0, 0]);
  });

  test("in a mapping that isn't mirrored says so of every page, without an error", () => {
    const { process, mm } = mirrored(1);
    mapDevice(process, 8, 2, (vma) => remapPfnRange(vma, vma.start, NO_RAM, 2 * PAGE));
    const range = run(hmmVmaFault(vmaOf(mm, at(8)), at(8), at(10), allocHmmPfns(2), false));
    expect(said(range)).toEqual(["special", "special"]);
    expect(hmmVmaRangeDone(range)).toBe(true);
    run(munmap(mm, at(8), 2 * PAGE));
  });
});
