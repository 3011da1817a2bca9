// Pages that are in the hands of other tasks when their memory fails, and parts of huge pages.
import { assertInvariants, type Page, run } from "@hetmem/kernel";
import { vmInvariants } from "@hetmem/mm";
import { endWriteback, startWriteback } from "@hetmem/mm/file";
import { PageFlag } from "@hetmem/page";
import { fileRead } from "@hetmem/page-cache";
import { diskFile, read, write } from "@hetmem/test-machines/files";
import { at, mapPages } from "@hetmem/test-machines/mappings";
import { hugeAt, hugeMachine, smallAt, withHuge } from "@hetmem/test-machines/thp";
import { vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { ProcessPoisonedPages } from "../src/poisoned-pages.ts";
import { unpoisonMemory } from "../src/unpoison.ts";

function machineWithPage() {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  mapPages(process, 0, 1);
  write(process, at(0), "kept");
  return { vm, process, page: smallAt(process, at(0)) as Page, owner: new ProcessPoisonedPages(vm) };
}

test("a page that another task has isolated for a moment is found when it is back on its list", () => {
  const { vm, process, page, owner } = machineWithPage();
  expect(vm.lru.isolate(page)).toBe(true);
  const task = owner.softOffline(page);
  expect(task.next().done).toBe(false);
  vm.lru.putback(page);
  run(task);
  expect(smallAt(process, at(0))).not.toBe(page);
  expect(read(process, at(0), 4)).toBe("kept");
});

test("a part of a huge page moves alone, and the other parts stay where they are", () => {
  const { vm, spawn } = hugeMachine();
  const process = spawn();
  withHuge(process);
  write(process, at(3), "part 3");
  const head = hugeAt(process, at(0)) as Page;
  run(new ProcessPoisonedPages(vm).softOffline((head + 3) as Page));
  expect([2, 4].map((i) => smallAt(process, at(i)))).toEqual([head + 2, head + 4]);
  expect(smallAt(process, at(3))).not.toBe(head + 3);
  expect(read(process, at(3), 6)).toBe("part 3");
  expect([2, 3, 4].map((i) => vm.memmap.refcount((head + i) as Page))).toEqual([1, 0, 1]);
  assertInvariants(vm, vmInvariants);
});

test.each(["hardOffline", "softOffline"] as const)("%s waits for the end of a page's writeback", (call) => {
  const { vm } = vmMachine();
  const { file, inode } = diskFile(vm, 1);
  run(fileRead(file, 0, 1));
  const page = inode.mapping.pages.load(0) as Page;
  startWriteback(vm, page);
  const task = new ProcessPoisonedPages(vm)[call](page);
  expect(task.next().value).toMatchObject({ why: "page writeback" });
  expect(inode.mapping.pages.load(0)).toBe(page);
  endWriteback(vm, page);
  run(task);
  expect(inode.mapping.pages.pages).toBe(0);
});

test("a page that is still mapped, or a part of a file, can't be called good again", () => {
  const { vm, page } = machineWithPage();
  const { file, inode } = diskFile(vm, 1);
  run(fileRead(file, 0, 1));
  const ofFile = inode.mapping.pages.load(0) as Page;
  for (const [bad, why] of [
    [page, /^EBUSY: .* is mapped still$/],
    [ofFile, /^EBUSY: .* is still a part of a file$/],
  ] as const) {
    vm.memmap.set(bad, PageFlag.hwpoison);
    expect(() => unpoisonMemory(vm, vm.memmap.pageToPfn(bad))).toThrow(why);
    expect(vm.memmap.test(bad, PageFlag.hwpoison)).toBe(true);
  }
});
