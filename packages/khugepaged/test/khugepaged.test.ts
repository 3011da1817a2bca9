import { unpinUserPages } from "@hetmem/gup";
import { MiB, nodeId, type Page, run, Scheduler, seededChoice } from "@hetmem/kernel";
import { exitProcess, forkProcess, Madv, mlock, mprotect, type Process, Prot } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { PageFlag } from "@hetmem/page";
import { swapSpace } from "@hetmem/reclaim";
import { event, nodeStat } from "@hetmem/test-machines/counters";
import { read, write } from "@hetmem/test-machines/files";
import { pinUserPages } from "@hetmem/test-machines/locked-calls";
import { at, errnoOf, mapPages } from "@hetmem/test-machines/mappings";
import {
  differing,
  expectAllSound,
  fill,
  hugeAt,
  hugeMachine,
  PARTS,
  smallAt,
} from "@hetmem/test-machines/thp";
import { mmOf, PAGE, type VmMachine, type VmMachineOptions } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { collapseHugePage } from "../src/collapse.ts";
import { khugepaged, khugepagedOf } from "../src/khugepaged.ts";

const HUGE = PARTS * PAGE;

/** A process with small pages that were written before huge ones were wanted. */
function withSmall(options: VmMachineOptions = {}, pages = PARTS): { machine: VmMachine; process: Process } {
  const machine = hugeMachine({
    ...options,
    tunables: { ...options.tunables, transparentHugepage: "never" },
  });
  const process = machine.spawn();
  mapPages(process, 0, PARTS);
  fill(process, 0, pages, "small");
  machine.vm.tunables.transparentHugepage = "always";
  return { machine, process };
}

function collapse(process: Process, asker: "khugepaged" | "madvise" = "khugepaged"): string {
  return run(collapseHugePage(mmOf(process), at(0), asker));
}

test("512 small pages become a huge one, which reads as they did, and they are free", () => {
  const { machine, process } = withSmall();
  const free = machine.freePages();
  expect(collapse(process)).toBe("succeeded");
  expect(hugeAt(process, at(0))).toBeDefined();
  expect(machine.freePages()).toBe(free);
  expect(differing(process, 0, PARTS, "small")).toEqual([]);
  expect(mmOf(process).rssPages).toBe(512);
  expect([nodeStat(machine.vm, "nr_anon_pages"), nodeStat(machine.vm, "nr_inactive_anon")]).toEqual([
    512, 512,
  ]);
  expect(event(machine.vm, "thp_collapse_alloc")).toBe(1);
  expectAllSound(machine);
});

test("the table of the small entries is put by for the huge one, and used when that is divided", () => {
  const { machine, process } = withSmall();
  const tables = nodeStat(machine.vm, "nr_page_table_pages");
  collapse(process);
  expect(nodeStat(machine.vm, "nr_page_table_pages")).toBe(tables);
  run(madvise(mmOf(process), at(3), PAGE, Madv.DONTNEED));
  expect(nodeStat(machine.vm, "nr_page_table_pages")).toBe(tables);
  expect([...differing(process, 0, 3, "small"), ...differing(process, 4, 508, "small")]).toEqual([]);
  expectAllSound(machine);
});

test("empty entries and those of the zero page become parts that read as zeros, and count as resident", () => {
  const { machine, process } = withSmall({}, 2);
  expect(read(process, at(100), 1)).toBe("\0");
  expect(collapse(process)).toBe("succeeded");
  expect([read(process, at(1), 7), read(process, at(100), 3), read(process, at(200), 3)]).toEqual([
    "small 1",
    "\0\0\0",
    "\0\0\0",
  ]);
  expect(mmOf(process).rssPages).toBe(512);
  expectAllSound(machine);
});

test("with more empty entries than max_ptes_none it isn't worth it, unless somebody asks for it", () => {
  const { machine, process } = withSmall({ tunables: { khugepagedMaxPtesNone: 100 } }, 300);
  expect(collapse(process)).toBe("exceed_none_pte");
  expect(event(machine.vm, "thp_scan_exceed_none_pte")).toBe(1);
  expect(errnoOf(madvise(mmOf(process), at(0), HUGE, Madv.COLLAPSE))).toBeUndefined();
  expect(differing(process, 0, 300, "small")).toEqual([]);
  expectAllSound(machine);
});

test("a mapping that is only read isn't worth it", () => {
  const { process } = withSmall();
  run(mprotect(mmOf(process), at(0), HUGE, Prot.READ));
  expect(collapse(process)).toBe("no_writable_page");
});

test("a pinned small page stays where it is, and so do the others", () => {
  const { machine, process } = withSmall();
  const before = smallAt(process, at(7));
  const pins = run(pinUserPages(mmOf(process), at(7), 1, { write: true }));
  expect(collapse(process)).toBe("not_suitable_page_count");
  expect(errnoOf(madvise(mmOf(process), at(0), HUGE, Madv.COLLAPSE))).toBe("EAGAIN");
  expect(smallAt(process, at(7))).toBe(before);
  unpinUserPages(machine.vm, pins);
  expect(collapse(process)).toBe("succeeded");
  expectAllSound(machine);
});

test("pages that a child shares are copied, and the child keeps the old ones", () => {
  const { machine, process } = withSmall({ tunables: { khugepagedMaxPtesShared: 511 } });
  const child = run(forkProcess(process));
  const old = smallAt(child, at(5));
  write(process, at(0), "parent");
  expect(collapse(process)).toBe("succeeded");
  expect(smallAt(child, at(5))).toBe(old);
  write(child, at(6), "child's");
  expect([differing(process, 1, 511, "small"), read(child, at(6), 7)]).toEqual([[], "child's"]);
  expectAllSound(machine);
});

test("with more shared pages than max_ptes_shared it would cost memory, and isn't done", () => {
  const { machine, process } = withSmall();
  run(forkProcess(process));
  expect(collapse(process)).toBe("exceed_shared_pte");
  expect(event(machine.vm, "thp_scan_exceed_share_pte")).toBe(1);
});

test("pages in swap are brought back first", () => {
  const { machine, process } = withSmall();
  const { vm } = machine;
  swapSpace(vm).swapon({ path: "/dev/swap", size: 16 * MiB });
  run(madvise(mmOf(process), at(10), 40 * PAGE, Madv.PAGEOUT));
  expect(event(vm, "pswpout")).toBe(40);
  expect(collapse(process)).toBe("succeeded");
  expect(differing(process, 0, PARTS, "small")).toEqual([]);
  expectAllSound(machine);
});

test("a huge page that was mapped in parts becomes one that is mapped whole, and the old one is freed", () => {
  const machine = hugeMachine();
  const process = machine.spawn();
  mapPages(process, 0, PARTS);
  fill(process, 0, PARTS, "part");
  const old = hugeAt(process, at(0)) as Page;
  run(madvise(mmOf(process), at(9), PAGE, Madv.DONTNEED));
  expect(collapse(process)).toBe("succeeded");
  expect(hugeAt(process, at(0))).not.toBe(old);
  expect(machine.vm.memmap.refcount(old)).toBe(0);
  expect([...machine.vm.deferredSplits]).toEqual([]);
  expect([...differing(process, 0, 9, "part"), ...differing(process, 10, 502, "part")]).toEqual([]);
  expectAllSound(machine);
});

test("the huge page of a locked mapping is locked in memory, as its small ones were", () => {
  const { machine, process } = withSmall();
  run(mlock(mmOf(process), at(0), HUGE));
  expect(collapse(process)).toBe("succeeded");
  expect(nodeStat(machine.vm, "nr_unevictable")).toBe(512);
  expect(machine.vm.memmap.test(hugeAt(process, at(0)) as Page, PageFlag.mlocked)).toBe(true);
  expectAllSound(machine);
});

test("the huge page comes from the node that most of the small ones are on", () => {
  const { machine, process } = withSmall({}, 100);
  mmOf(process).node = nodeId(1);
  machine.vm.tunables.transparentHugepage = "never";
  fill(process, 100, 300, "small");
  machine.vm.tunables.transparentHugepage = "always";
  expect(collapse(process)).toBe("succeeded");
  expect(machine.vm.memmap.nodeOf(hugeAt(process, at(0)) as Page)).toBe(1);
});

test("where no mapping allows a huge page the answer says why", () => {
  const { process } = withSmall();
  expect(run(collapseHugePage(mmOf(process), at(PARTS), "khugepaged"))).toBe("vma_null");
  run(madvise(mmOf(process), at(0), HUGE, Madv.NOHUGEPAGE));
  expect(collapse(process)).toBe("vma_check_failed");
  expect(errnoOf(madvise(mmOf(process), at(0), HUGE, Madv.COLLAPSE))).toBe("EINVAL");
  run(exitProcess(process));
});

test("khugepaged goes round all processes, and collapses what is worth it", () => {
  const { machine, process } = withSmall();
  const { vm } = machine;
  vm.tunables.transparentHugepage = "never";
  const other = machine.spawn();
  mapPages(other, 0, 2 * PARTS);
  fill(other, 0, 2 * PARTS, "other");
  vm.tunables.transparentHugepage = "always";
  run(khugepagedOf(vm).scan(500));
  expect([khugepagedOf(vm).pagesCollapsed, hugeAt(other, at(0))]).toEqual([1, undefined]);
  run(khugepagedOf(vm).scan(4096));
  expect(khugepagedOf(vm).pagesCollapsed).toBe(3);
  expect([differing(process, 0, PARTS, "small"), differing(other, 0, 2 * PARTS, "other")]).toEqual([[], []]);
  expect(khugepagedOf(vm).fullScans).toBeGreaterThan(0);
  expectAllSound(machine);
});

test("khugepaged wakes by itself every ten seconds", () => {
  const { machine, process } = withSmall();
  const { vm, kernel } = machine;
  const scheduler = new Scheduler(kernel, seededChoice(1));
  scheduler.spawn("khugepaged", khugepaged(vm));
  scheduler.spawn(
    "administrator",
    (function* () {
      yield* kernel.clock.sleep(15e9);
      khugepagedOf(vm).stopped = true;
    })(),
  );
  scheduler.runAll();
  expect(hugeAt(process, at(0))).toBeDefined();
  expect(kernel.clock.nowNs).toBe(20e9);
});
