// Entries whose page isn't where the cpu reaches it: in a device's memory, on its way, a device's alone, or bad. And those
// that map 2 MiB at once.
import { type Page, run } from "@hetmem/kernel";
import { mprotect, type Process, Prot, unlockPage } from "@hetmem/mm";
import { makeDeviceExclusiveRange } from "../src/make-device-exclusive.ts";
import { EntryKind, entryKind, isDevicePrivate, Pte } from "@hetmem/page-table";
import { describe, expect, test } from "vitest";
import { HmmPfn, hmmRangeFault } from "../src/index.ts";
import {
  answers,
  answersOf,
  at,
  entryOf,
  look,
  mapPages,
  type MirrorMachine,
  mirrorMachine,
  pagesOf,
  rangeOf,
  read,
  setEntryFlags,
  withMovingPage,
  write,
} from "@hetmem/test-machines/mirror-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const READ: number = HmmPfn.reqFault;
const WRITE: number = HmmPfn.reqFault | HmmPfn.reqWrite;

/** A page of a process goes into a device's memory, as far as anybody can tell by its entry. */
function onDevice(
  { owners }: MirrorMachine,
  process: Process,
  page: number,
  owner: string,
  access: "read" | "write" = "write",
): Page {
  write(process, page, page);
  const [value] = entryOf(process, page);
  owners.set(value, owner);
  setEntryFlags(
    process,
    page,
    access === "write" ? EntryKind.devicePrivateWrite : EntryKind.devicePrivateRead,
  );
  return value;
}

describe("a page in a device's private memory", () => {
  test("is given as it is to that device, which may do with it what the process may", () => {
    const machine = mirrorMachine();
    const process = machine.spawn();
    mapPages(process, 0, 3);
    const first = onDevice(machine, process, 0, "gpu0");
    onDevice(machine, process, 1, "gpu0", "read");
    const range = rangeOf(process, 0, 3, { devPrivateOwner: "gpu0" });
    run(look(mmOf(process), range));
    expect(answersOf(range)).toEqual(["rw", "r", "-"]);
    expect(pagesOf(range)[0]).toBe(first);
  });

  test("stays there when that device asks for it", () => {
    const machine = mirrorMachine();
    const process = machine.spawn();
    mapPages(process, 0, 2);
    onDevice(machine, process, 0, "gpu0");
    onDevice(machine, process, 1, "gpu0", "read");
    const options = { devPrivateOwner: "gpu0", defaultFlags: WRITE };
    expect(answers(process, 0, 2, options)).toEqual(["rw", "r"]);
    expect(machine.movedBack).toEqual([]);
  });

  test("isn't seen in a snapshot by anybody else", () => {
    const machine = mirrorMachine();
    const process = machine.spawn();
    mapPages(process, 0, 1);
    onDevice(machine, process, 0, "gpu0");
    expect(answers(process, 0, 1, { devPrivateOwner: "gpu1" })).toEqual(["-"]);
    expect(answers(process, 0, 1)).toEqual(["-"]);
    expect(isDevicePrivate(entryOf(process, 0)[1])).toBe(true);
  });

  test("is moved back first when another device asks for it; that is a change, so it begins again", () => {
    const machine = mirrorMachine();
    const process = machine.spawn();
    mapPages(process, 0, 2);
    const page = onDevice(machine, process, 0, "gpu0");
    expect(answers(process, 0, 2, { devPrivateOwner: "gpu1", defaultFlags: READ })).toEqual(["rw", "r"]);
    expect(machine.movedBack).toEqual([page]);
    expect(entryOf(process, 0)[1] & Pte.present).toBe(Pte.present);
  });
});

describe("a page that a device has alone", () => {
  test("isn't there, for any device; asked for, it comes back", () => {
    const machine = mirrorMachine();
    const process = machine.spawn();
    const { memmap } = machine.vm;
    mapPages(process, 0, 2);
    write(process, 0, 5);
    const mm = mmOf(process);
    run(mm.mmapLock.downRead());
    const taken = run(makeDeviceExclusiveRange(mm, at(0), at(1), "gpu0"));
    mm.mmapLock.upRead();
    for (const page of taken) {
      unlockPage(memmap, page);
      memmap.putPage(page);
    }
    expect(entryKind(entryOf(process, 0)[1])).toBe(EntryKind.deviceExclusiveWrite);
    expect(answers(process, 0, 2, { devPrivateOwner: "gpu0" })).toEqual(["-", "-"]);
    expect(entryKind(entryOf(process, 0)[1])).toBe(EntryKind.deviceExclusiveWrite);
    expect(answers(process, 0, 1, { devPrivateOwner: "gpu0", defaultFlags: READ })).toEqual(["rw"]);
    expect(read(process, 0)).toBe(5);
  });
});

describe("a page that is being moved", () => {
  test("isn't there in a snapshot, which doesn't wait", () => {
    const machine = mirrorMachine();
    const process = machine.spawn();
    const arrive = withMovingPage(machine, process);
    expect(answers(process, 0, 2)).toEqual(["-", "-"]);
    arrive();
    expect(answers(process, 0, 2)).toEqual(["rw", "-"]);
  });

  test("is waited for when it is asked for, and then it is there", () => {
    const machine = mirrorMachine();
    const process = machine.spawn();
    const arrive = withMovingPage(machine, process);
    const mm = mmOf(process);
    const range = rangeOf(process, 0, 2, { requests: { 0: READ }, pfnFlagsMask: READ });
    run(mm.mmapLock.downRead());
    const task = hmmRangeFault(range);
    const step = task.next();
    if (step.done === true) throw new Error("it didn't wait");
    expect(step.value.why).toBe("migration entry");
    expect(step.value.ready()).toBe(false);
    arrive();
    expect(step.value.ready()).toBe(true);
    expect(run(task)).toBe("ok");
    mm.mmapLock.upRead();
    // It was not a fault that brought it, so nothing else was brought with it.
    expect(answersOf(range)).toEqual(["rw", "-"]);
  });
});

test("a page whose memory is bad can't be had, and isn't there in a snapshot", () => {
  const process = mirrorMachine().spawn();
  mapPages(process, 0, 2);
  write(process, 1, 1);
  const had = entryOf(process, 1)[1];
  setEntryFlags(process, 1, EntryKind.hwpoison);
  expect(answers(process, 0, 2)).toEqual(["-", "-"]);
  expect(outcome(() => answers(process, 1, 1, { defaultFlags: READ }))).toBe("EFAULT");
  setEntryFlags(process, 1, had);
});

describe("2 MiB that are mapped at once", () => {
  const HUGE = 512;
  const wholly = (answer: string, count = HUGE): string[] => Array.from({ length: count }, () => answer);

  function huge(): { process: Process; first: Page } {
    const process = mirrorMachine({ transparentHugepage: "always" }).spawn();
    mapPages(process, 0, 2 * HUGE);
    write(process, 0, 1);
    const { pageTable } = mmOf(process);
    return { process, first: pageTable.value(pageTable.findPmd(at(0))) as Page };
  }

  test("are 512 pages in a row of order 9, each with its own page", () => {
    const { process, first } = huge();
    const range = rangeOf(process, 0, HUGE + 1);
    run(look(mmOf(process), range));
    expect(answersOf(range)).toEqual([...wholly("rw9"), "-"]);
    expect(pagesOf(range).slice(0, HUGE)).toEqual(wholly("").map((_, i) => first + i));
  });

  test("can be looked at in part, and the order is that of the whole", () => {
    const { process, first } = huge();
    const range = rangeOf(process, 100, 3);
    run(look(mmOf(process), range));
    expect(answersOf(range)).toEqual(["rw9", "rw9", "rw9"]);
    expect(pagesOf(range)).toEqual([100, 101, 102].map((page) => first + page));
  });

  test("stay whole when a device asks for what they allow, and come whole when they are to be written", () => {
    const { process } = huge();
    expect(answers(process, 10, 2, { defaultFlags: WRITE })).toEqual(["rw9", "rw9"]);
    expect(answers(process, HUGE, 2, { defaultFlags: WRITE })).toEqual(["rw9", "rw9"]);
  });

  test("that may only be read say so, and fail as small pages do", () => {
    const { process } = huge();
    run(mprotect(mmOf(process), at(0), 2 * HUGE * PAGE, Prot.READ));
    expect(answers(process, 0, 1)).toEqual(["r9"]);
    expect(outcome(() => answers(process, 0, 1, { defaultFlags: WRITE }))).toBe("EPERM");
  });

  test("lose their order with their entry", () => {
    const { process } = huge();
    run(mprotect(mmOf(process), at(8), PAGE, Prot.READ));
    expect(answers(process, 7, 3)).toEqual(["rw", "r", "rw"]);
  });

  test("with a NUMA hint aren't valid until somebody asks", () => {
    const { process } = huge();
    const { pageTable } = mmOf(process);
    const pmd = pageTable.findPmd(at(0));
    pageTable.setFlags(pmd, pageTable.flags(pmd) | Pte.protnone);
    expect(answers(process, 0, 2)).toEqual(["-", "-"]);
    expect(answers(process, 0, 2, { defaultFlags: READ })).toEqual(["rw9", "rw9"]);
  });
});
