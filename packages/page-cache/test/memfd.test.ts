import { type Page, run } from "@hetmem/kernel";
import { MapFlag, munmap, Prot } from "@hetmem/mm";
import { nodeStat } from "@hetmem/test-machines/counters";
import { bytes, map, read, text, write } from "@hetmem/test-machines/files";
import { mmOf, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { fileRead, fileWrite } from "../src/file-io.ts";
import { memfdAddSeals, memfdCreate, MemfdFlag } from "../src/memfd.ts";
import { Seal } from "../src/shmem-inode.ts";
import { punchHole, truncate } from "../src/truncate.ts";

test("a memfd is a file without a name: /proc/PID/maps says memfd and deleted", () => {
  const { vm } = vmMachine();
  const file = memfdCreate(vm, "ring", MemfdFlag.CLOEXEC);
  expect([file.path, file.device.minor, file.host.size]).toEqual(["/memfd:ring (deleted)", 1, 0]);
});

test("memfd_create refuses flags that it doesn't know, and names that are too long", () => {
  const { vm } = vmMachine();
  expect(() => memfdCreate(vm, "x", 0x100)).toThrow("EINVAL");
  expect(() => memfdCreate(vm, "x".repeat(250), 0)).toThrow("EINVAL");
  expect(memfdCreate(vm, "x".repeat(249), 0).host.size).toBe(0);
});

test("what one process writes into a memfd the other reads, and its pages go with the last mapping", () => {
  const { vm, spawn } = vmMachine();
  const [one, other] = [spawn(), spawn()];
  const file = memfdCreate(vm, "shared", 0);
  run(truncate(file.host, 2 * PAGE));
  const [mine, theirs] = [map(one, file, 2, MapFlag.SHARED), map(other, file, 2, MapFlag.SHARED)];
  run(file.close());
  write(one, mine + PAGE, "hello");
  expect(read(other, theirs + PAGE, 5)).toBe("hello");
  run(munmap(mmOf(one), mine, 2 * PAGE));
  expect(nodeStat(vm, "nr_shmem")).toBe(1);
  run(munmap(mmOf(other), theirs, 2 * PAGE));
  expect(nodeStat(vm, "nr_shmem")).toBe(0);
});

test("a memfd that wasn't made for seals takes none", () => {
  const { vm } = vmMachine();
  expect(() => run(memfdAddSeals(memfdCreate(vm, "x", 0), Seal.GROW))).toThrow("EPERM");
});

test("sealed against shrinking and growing, a memfd keeps its size", () => {
  const { vm } = vmMachine();
  const file = memfdCreate(vm, "x", MemfdFlag.ALLOW_SEALING);
  run(truncate(file.host, PAGE));
  run(memfdAddSeals(file, Seal.SHRINK | Seal.GROW | Seal.SEAL));
  expect(() => run(truncate(file.host, 10))).toThrow("EPERM");
  expect(() => run(truncate(file.host, 2 * PAGE))).toThrow("EPERM");
  expect(run(fileWrite(file, PAGE - 1, bytes("ab")))).toBe(1);
  expect(() => run(fileWrite(file, PAGE, bytes("b")))).toThrow("EPERM");
  expect(() => run(memfdAddSeals(file, Seal.WRITE))).toThrow("EPERM");
});

test("sealed against writing, a memfd can be read and mapped private, but not written, punched or mapped shared", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const file = memfdCreate(vm, "x", MemfdFlag.ALLOW_SEALING);
  run(fileWrite(file, 0, bytes("sealed")));
  const at = map(process, file, 1, MapFlag.SHARED);
  expect(() => run(memfdAddSeals(file, Seal.WRITE))).toThrow("EBUSY");
  run(munmap(mmOf(process), at, PAGE));
  run(memfdAddSeals(file, Seal.WRITE));
  expect(() => run(fileWrite(file, 0, bytes("x")))).toThrow("EPERM");
  expect(() => run(punchHole(file.host, 0, PAGE))).toThrow("EPERM");
  expect(() => map(process, file, 1, MapFlag.SHARED)).toThrow("EPERM");
  expect(text(run(fileRead(file, 0, 6)))).toBe("sealed");
  const mine = map(process, file, 1, MapFlag.PRIVATE);
  write(process, mine, "mine");
  expect(read(process, mine, 6)).toBe("mineed");
});

test("a page that somebody holds keeps a memfd from being sealed against writing", () => {
  const { vm } = vmMachine();
  const file = memfdCreate(vm, "x", MemfdFlag.ALLOW_SEALING);
  run(fileWrite(file, 0, bytes("x")));
  const page = file.mapping.pages.load(0) as Page;
  vm.memmap.getPage(page);
  expect(() => run(memfdAddSeals(file, Seal.WRITE))).toThrow("EBUSY");
  vm.memmap.putPage(page);
  run(memfdAddSeals(file, Seal.WRITE));
});

test("sealed against future writing, a shared mapping can be made to read, and never to write", () => {
  const { vm, spawn } = vmMachine();
  const process = spawn();
  const file = memfdCreate(vm, "x", MemfdFlag.ALLOW_SEALING);
  run(truncate(file.host, PAGE));
  const before = map(process, file, 1, MapFlag.SHARED);
  run(memfdAddSeals(file, Seal.FUTURE_WRITE));
  write(process, before, "still");
  expect(() => map(process, file, 1, MapFlag.SHARED)).toThrow("EPERM");
  const reading = map(process, file, 1, MapFlag.SHARED, Prot.READ);
  expect(read(process, reading, 5)).toBe("still");
});
