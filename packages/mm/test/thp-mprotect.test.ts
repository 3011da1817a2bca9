import { run, type VirtAddr } from "@hetmem/kernel";
import { changeProtNuma } from "@hetmem/migrate";
import { NO_ENTRY, Pte } from "@hetmem/page-table";
import { gatherStats, MemSizeStats, pagemap, PageMapBit } from "@hetmem/proc-pid";
import { event } from "@hetmem/test-machines/counters";
import { bytes, read, readSignal, write } from "@hetmem/test-machines/files";
import { getUserPages } from "@hetmem/test-machines/locked-calls";
import { at, vmaAt } from "@hetmem/test-machines/mappings";
import {
  differing,
  expectAllSound,
  fill,
  hugeAt,
  hugeMachine,
  PARTS,
  smallAt,
  withHuge,
} from "@hetmem/test-machines/thp";
import { mmOf, PAGE } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { writeUser } from "../src/process/access.ts";
import { forkProcess } from "../src/process/fork.ts";
import type { Process } from "../src/process/process.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { Prot } from "../src/vma/vm-flags.ts";

const HUGE = PARTS * PAGE;

function hugeFlags(process: Process, address: VirtAddr): number {
  const { pageTable } = mmOf(process);
  const pmd = pageTable.findPmd(address);
  return pmd === NO_ENTRY ? 0 : pageTable.flags(pmd);
}

test("a huge page whose whole mapping becomes read-only stays huge, and a write to it is a signal", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  withHuge(process);
  run(mprotect(mmOf(process), at(0), HUGE, Prot.READ));
  expect(hugeFlags(process, at(0)) & (Pte.huge | Pte.write)).toBe(Pte.huge);
  expect(run(writeUser(process, at(3), bytes("x")))).toMatchObject({ signo: "SIGSEGV", code: "SEGV_ACCERR" });
  expect(read(process, at(0), 6)).toBe("huge 0");
  expectAllSound(machine);
});

test("made writable again it is written without a copy, after one fault", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  withHuge(process);
  const head = hugeAt(process, at(0));
  run(mprotect(mmOf(process), at(0), HUGE, Prot.READ));
  run(mprotect(mmOf(process), at(0), HUGE, Prot.READ | Prot.WRITE));
  expect(hugeFlags(process, at(0)) & Pte.write).toBe(0);
  const faults = event(machine.vm, "pgfault");
  write(process, at(3), "again");
  expect([hugeAt(process, at(0)), event(machine.vm, "pgfault") - faults]).toEqual([head, 1]);
  expectAllSound(machine);
});

test("the protection of a part divides the entry at its ends", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  withHuge(process);
  fill(process, 0, PARTS, "part");
  const head = hugeAt(process, at(0)) as number;
  run(mprotect(mmOf(process), at(10), 20 * PAGE, Prot.READ));
  expect([smallAt(process, at(9)), smallAt(process, at(10))]).toEqual([head + 9, head + 10]);
  expect(run(writeUser(process, at(10), bytes("x")))).toMatchObject({ code: "SEGV_ACCERR" });
  write(process, at(9), "still");
  expect(differing(process, 10, PARTS - 10, "part")).toEqual([]);
  expect(event(machine.vm, "thp_split_pmd")).toBe(1);
  expectAllSound(machine);
});

test("a huge page that may not be reached keeps its contents until it may again", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  withHuge(process);
  run(mprotect(mmOf(process), at(0), HUGE, Prot.NONE));
  expect(hugeFlags(process, at(0)) & (Pte.huge | Pte.protnone)).toBe(Pte.huge | Pte.protnone);
  expect(readSignal(process, at(0))).toMatchObject({ code: "SEGV_ACCERR" });
  run(mprotect(mmOf(process), at(0), HUGE, Prot.READ));
  expect(read(process, at(0), 6)).toBe("huge 0");
  expectAllSound(machine);
});

test("one that may not be reached is divided into small pages that may not", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  withHuge(process);
  run(mprotect(mmOf(process), at(0), HUGE, Prot.NONE));
  run(mprotect(mmOf(process), at(256), HUGE / 2, Prot.READ));
  expect(readSignal(process, at(255))).toMatchObject({ code: "SEGV_ACCERR" });
  expect(read(process, at(256), 1)).toBe("\0");
  expectAllSound(machine);
});

test("a NUMA hint on a huge page of this node is answered by the next use, and counted", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  withHuge(process);
  const head = hugeAt(process, at(0));
  // Somebody else runs in it too, so that it isn't known who uses what.
  mmOf(process).users++;
  expect(run(changeProtNuma(vmaAt(process, 0), at(0), at(PARTS)))).toBe(512);
  expect(event(machine.vm, "numa_huge_pte_updates")).toBe(1);
  expect(hugeFlags(process, at(0)) & Pte.protnone).toBe(Pte.protnone);
  write(process, at(1), "used");
  expect(hugeFlags(process, at(0)) & (Pte.protnone | Pte.write)).toBe(Pte.write);
  expect([hugeAt(process, at(0)), event(machine.vm, "numa_hint_faults_local")]).toEqual([head, 1]);
  mmOf(process).users--;
  expectAllSound(machine);
});

test("a NUMA hint on a huge page of another node brings its parts here", () => {
  const machine = hugeMachine();
  const process = machine.spawn("far", 1);
  withHuge(process);
  fill(process, 0, PARTS, "part");
  mmOf(process).node = machine.spawn().mm?.node ?? mmOf(process).node;
  run(changeProtNuma(vmaAt(process, 0), at(0), at(PARTS)));
  expect(read(process, at(7), 6)).toBe("part 7");
  expect(machine.vm.memmap.nodeOf(smallAt(process, at(7)) as never)).toBe(0);
  expect(event(machine.vm, "numa_pages_migrated")).toBe(512);
  expect(differing(process, 0, PARTS, "part")).toEqual([]);
  expectAllSound(machine);
});

test("who asks for divided entries gets them, with the pages", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  withHuge(process);
  const head = hugeAt(process, at(0)) as number;
  const [page] = run(getUserPages(mmOf(process), at(0), 1, { splitPmd: true }));
  expect([page, smallAt(process, at(1))]).toEqual([head, head + 1]);
  machine.vm.memmap.putPage(head as never);
  expectAllSound(machine);
});

test("pagemap and smaps see the parts of a huge page where they are, alone and shared", () => {
  const machine = hugeMachine();
  const { memmap } = machine.vm;
  const process = machine.spawn();
  withHuge(process);
  const head = hugeAt(process, at(0)) as number;
  const [, second] = pagemap(mmOf(process), at(0), 2);
  const frame = BigInt(memmap.pageToPfn(head as never) + 1);
  expect(second).toBe(PageMapBit.present | PageMapBit.exclusive | PageMapBit.softDirty | frame);
  const alone = new MemSizeStats();
  run(gatherStats(alone, vmaAt(process, 0)));
  expect([alone.resident, alone.anonymousThp, alone.privateDirty, alone.pss / 4096]).toEqual([
    HUGE,
    HUGE,
    HUGE,
    HUGE,
  ]);
  run(forkProcess(process));
  const shared = new MemSizeStats();
  run(gatherStats(shared, vmaAt(process, 0)));
  expect([shared.sharedDirty, shared.pss / 4096]).toEqual([HUGE, HUGE / 2]);
});
