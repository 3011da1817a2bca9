// The pool of huge pages: what an administrator gets when he sizes it, what mmap() promises from it, and when it grows by
// itself.
import { MiB, nodeId, run } from "@hetmem/kernel";
import { exitProcess, MapFlag, mmap, munmap } from "@hetmem/mm";
import { RW, write } from "@hetmem/test-machines/files";
import {
  HUGE,
  hugeAt,
  hugetlbMachine,
  mapHuge,
  pool,
  PRIVATE_HUGE,
  SHARED_HUGE,
} from "@hetmem/test-machines/hugetlb-machine";
import { errnoOf, expectSound } from "@hetmem/test-machines/mappings";
import { mmOf, PAGE } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { hugetlbPool } from "../src/hugetlb-pool.ts";

const PROC = "/proc/sys/vm";
const SYS = "/sys/kernel/mm/hugepages/hugepages-2048kB";

test("pages come from each node in turn, and go back to the allocator in turn", () => {
  const machine = hugetlbMachine(0);
  const free = machine.freePages();
  machine.echo(`${PROC}/nr_hugepages`, "5\n");
  expect(machine.freePages()).toBe(free - 5 * 512);
  expect([0, 1].map((node) => hugetlbPool(machine.vm).nodeCounts(nodeId(node)).total)).toEqual([3, 2]);
  machine.echo(`${SYS}/nr_hugepages`, "2\n");
  expect([0, 1].map((node) => hugetlbPool(machine.vm).nodeCounts(nodeId(node)).free)).toEqual([1, 1]);
  machine.echo(`${PROC}/nr_hugepages`, "0\n");
  expect(machine.freePages()).toBe(free);
  expectSound(machine.vm);
});

test("more pages than there is memory for are as many as there is, and the file says how many", () => {
  const machine = hugetlbMachine(0, { nodes: [16 * MiB] });
  machine.echo(`${PROC}/nr_hugepages`, "1000");
  const got = Number(machine.cat(`${PROC}/nr_hugepages`));
  expect(got).toBeGreaterThan(2);
  expect(got).toBeLessThan(8);
  expectSound(machine.vm);
});

test("one node's pool is sized alone", () => {
  const machine = hugetlbMachine(2);
  run(hugetlbPool(machine.vm).resize(3, nodeId(1)));
  expect([0, 1].map((node) => hugetlbPool(machine.vm).nodeCounts(nodeId(node)).total)).toEqual([1, 3]);
  run(hugetlbPool(machine.vm).resize(0, nodeId(0)));
  expect([0, 1].map((node) => hugetlbPool(machine.vm).nodeCounts(nodeId(node)).total)).toEqual([0, 3]);
});

test("what is no number of pages is EINVAL", () => {
  const machine = hugetlbMachine(1);
  for (const file of [`${PROC}/nr_hugepages`, `${PROC}/nr_overcommit_hugepages`, `${SYS}/nr_hugepages`])
    for (const text of ["-1", "many"]) expect(() => machine.echo(file, text)).toThrow("EINVAL");
  expect(pool(machine)).toEqual([1, 1, 0, 0]);
});

test("a mapping is promised all of its pages, and who comes later gets ENOMEM", () => {
  const machine = hugetlbMachine(3);
  const [one, other] = [machine.spawn(), machine.spawn()];
  const start = mapHuge(one, 2);
  expect(pool(machine)).toEqual([3, 3, 2, 0]);
  expect(errnoOf(mmap(mmOf(other), { length: 2 * HUGE, prot: RW, flags: PRIVATE_HUGE }))).toBe("ENOMEM");
  expect(mmOf(other).vmas.count).toBe(0);
  write(one, start, "a");
  expect(pool(machine)).toEqual([3, 2, 1, 0]);
  run(munmap(mmOf(one), start, 2 * HUGE));
  expect(pool(machine)).toEqual([3, 3, 0, 0]);
  mapHuge(other, 2);
  run(exitProcess(other));
  expect(pool(machine)).toEqual([3, 3, 0, 0]);
  expectSound(machine.vm);
});

test("a shared mapping's promise is its file's, and lasts until the last of its users has gone", () => {
  const machine = hugetlbMachine(2);
  const process = machine.spawn();
  const start = mapHuge(process, 2, SHARED_HUGE);
  write(process, start, "a");
  expect(pool(machine)).toEqual([2, 1, 1, 0]);
  // What is in the file stays there.
  run(munmap(mmOf(process), start, HUGE));
  expect(pool(machine)).toEqual([2, 1, 1, 0]);
  run(exitProcess(process));
  expect(pool(machine)).toEqual([2, 2, 0, 0]);
});

test("MAP_NORESERVE promises nothing, and a touch without a page is SIGBUS", () => {
  const machine = hugetlbMachine(1);
  const process = machine.spawn();
  const start = mapHuge(process, 2, PRIVATE_HUGE | MapFlag.NORESERVE);
  expect(pool(machine)).toEqual([1, 1, 0, 0]);
  write(process, start, "a");
  expect(() => write(process, hugeAt(start, 1), "b")).toThrow("SIGBUS BUS_ADRERR");
  expectSound(machine.vm);
});

test("pages that others were promised are not for who wasn't", () => {
  const machine = hugetlbMachine(1);
  const [owner, other] = [machine.spawn(), machine.spawn()];
  const promised = mapHuge(owner, 1);
  const start = mapHuge(other, 1, PRIVATE_HUGE | MapFlag.NORESERVE);
  expect(() => write(other, start, "b")).toThrow("SIGBUS");
  write(owner, promised, "a");
  expect(pool(machine)).toEqual([1, 0, 0, 0]);
});

test("nr_overcommit_hugepages lets the pool grow by itself, and surplus pages go when they are free", () => {
  const machine = hugetlbMachine(1);
  const free = machine.freePages();
  machine.echo(`${PROC}/nr_overcommit_hugepages`, "2\n");
  expect(machine.cat(`${SYS}/nr_overcommit_hugepages`)).toBe("2\n");
  const process = machine.spawn();
  expect(errnoOf(mmap(mmOf(process), { length: 4 * HUGE, prot: RW, flags: PRIVATE_HUGE }))).toBe("ENOMEM");
  expect(pool(machine)).toEqual([1, 1, 0, 0]);
  const start = mapHuge(process, 3);
  expect(pool(machine)).toEqual([3, 3, 3, 2]);
  expect(machine.cat(`${SYS}/nr_hugepages`)).toBe("3\n");
  expect(machine.cat(`${PROC}/nr_hugepages`)).toBe("1\n");
  write(process, start, "a");
  write(process, hugeAt(start, 1), "b");
  expectSound(machine.vm);
  run(exitProcess(process));
  expect(pool(machine)).toEqual([1, 1, 0, 0]);
  expect(machine.freePages()).toBe(free);
});

test("a pool made smaller than what is in use has surplus pages until they are free", () => {
  const machine = hugetlbMachine(3);
  const process = machine.spawn();
  const start = mapHuge(process, 2);
  write(process, start, "a");
  machine.echo(`${PROC}/nr_hugepages`, "0");
  // One is in use, and one promised.
  expect(pool(machine)).toEqual([2, 1, 1, 2]);
  machine.echo(`${PROC}/nr_hugepages`, "1");
  expect(pool(machine)).toEqual([2, 1, 1, 1]);
  run(exitProcess(process));
  expect(pool(machine)).toEqual([1, 1, 0, 0]);
  expectSound(machine.vm);
});

test("the length is one of whole huge pages, at an address of one, and other sizes are EINVAL", () => {
  const machine = hugetlbMachine(2);
  const process = machine.spawn();
  const mm = mmOf(process);
  const errno = (request: { address?: number; length?: number; flags?: number; offset?: number }) =>
    errnoOf(mmap(mm, { length: PAGE, prot: RW, flags: PRIVATE_HUGE, ...request }));
  const start = run(mmap(mm, { length: PAGE, prot: RW, flags: PRIVATE_HUGE | MapFlag.HUGE_2MB }));
  expect(start % HUGE).toBe(0);
  expect(mm.vmas.at(start)?.pages).toBe(512);
  const hint = run(mmap(mm, { address: 0x1000_1000, length: HUGE, prot: RW, flags: PRIVATE_HUGE }));
  expect(hint).toBe(0x1020_0000);
  expect(errno({ address: 0x1000_1000, flags: PRIVATE_HUGE | MapFlag.FIXED })).toBe("EINVAL");
  expect(errno({ flags: PRIVATE_HUGE | (16 << 26) })).toBe("EINVAL");
  expect(errno({ flags: PRIVATE_HUGE | MapFlag.HUGE_1GB })).toBe("ENOMEM");
  expect(errno({ offset: PAGE })).toBe("EINVAL");
  expect(errno({ length: 0 })).toBe("EINVAL");
  expect([...machine.vm.mappings]).toHaveLength(2);
});

test("huge pages of the pool are promised by it alone: Committed_AS doesn't count them", () => {
  const machine = hugetlbMachine(2, { tunables: { overcommitMemory: 2, overcommitRatio: 0 } });
  const process = machine.spawn();
  mapHuge(process, 1);
  // Even in mode 2 a mapping may do without a promise.
  mapHuge(process, 2, PRIVATE_HUGE | MapFlag.NORESERVE);
  expect(machine.vm.commit.pages).toBe(0);
  expect(pool(machine)).toEqual([2, 2, 1, 0]);
});

test("/proc/meminfo and the files of the pool say the same", () => {
  const machine = hugetlbMachine(4);
  hugetlbPool(machine.vm).overcommit = 1;
  const process = machine.spawn();
  mapHuge(process, 3);
  write(process, mapHuge(process, 2), "x");
  const lines = machine
    .cat("/proc/meminfo")
    .split("\n")
    .filter((line) => line.startsWith("Huge"));
  expect(lines).toEqual([
    "HugePages_Total:       5",
    "HugePages_Free:        4",
    "HugePages_Rsvd:        4",
    "HugePages_Surp:        1",
    "Hugepagesize:       2048 kB",
    "Hugetlb:           10240 kB",
  ]);
  const files = ["nr_hugepages", "free_hugepages", "resv_hugepages", "surplus_hugepages"];
  expect(files.map((file) => machine.cat(`${SYS}/${file}`))).toEqual(["5\n", "4\n", "4\n", "1\n"]);
});
