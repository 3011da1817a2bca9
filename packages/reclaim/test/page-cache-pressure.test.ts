import { assertInvariants, MiB, run } from "@hetmem/kernel";
import { MapFlag, vmInvariants } from "@hetmem/mm";
import { fileRead, fileWrite, fsyncRange, memfdCreate, truncate } from "@hetmem/page-cache";
import { event, nodeStat } from "@hetmem/test-machines/counters";
import { bytes, diskFile, map, read, text, write } from "@hetmem/test-machines/files";
import { PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { swapSpace } from "../src/swap/swap-space.ts";

const PAGES = (48 * MiB) / PAGE;

test("a file larger than memory can be read from end to end, and its first pages have left then", () => {
  const { vm } = vmMachine({ nodes: [32 * MiB] });
  const { file, inode } = diskFile(vm, PAGES);
  for (let i = 0; i < PAGES; i++)
    expect(text(run(fileRead(file, i * PAGE, 12))).replace(/\0+$/, "")).toBe(`page ${i}`);
  expect(inode.mapping.pages.pages).toBeLessThan((32 * MiB) / PAGE);
  expect(inode.mapping.pages.values).toBeGreaterThan(0);
  expect(event(vm, "oom_kill")).toBe(0);
  assertInvariants(vm, vmInvariants);
});

test("a file larger than memory can be written through a mapping, and the disk has all of it after fsync", () => {
  const { vm, spawn } = vmMachine({ nodes: [32 * MiB] });
  const process = spawn();
  const { file, inode } = diskFile(vm, PAGES);
  const at = map(process, file, PAGES, MapFlag.SHARED);
  for (let i = 0; i < PAGES; i++) write(process, at + i * PAGE, `new ${i} `);
  run(fsyncRange(inode.mapping));
  for (let i = 0; i < PAGES; i += 97)
    expect(text(inode.store?.block(i).subarray(0, 20) ?? bytes(""))).toContain(`new ${i} `);
  expect([nodeStat(vm, "nr_dirty"), event(vm, "oom_kill")]).toEqual([0, 0]);
  assertInvariants(vm, vmInvariants);
});

test("shared memory larger than memory goes to swap and comes back as it was written", () => {
  const { vm, spawn } = vmMachine({ nodes: [32 * MiB] });
  swapSpace(vm).swapon({ path: "/dev/swap", size: 64 * MiB });
  const process = spawn();
  const file = memfdCreate(vm, "large", 0);
  run(truncate(file.host, PAGES * PAGE));
  const at = map(process, file, PAGES, MapFlag.SHARED);
  for (let i = 0; i < PAGES; i++) write(process, at + i * PAGE, `mem ${i} `);
  expect(file.mapping.pages.values).toBeGreaterThan(0);
  for (let i = 0; i < PAGES; i += 31) expect(read(process, at + i * PAGE, 10)).toContain(`mem ${i} `);
  expect(event(vm, "oom_kill")).toBe(0);
  assertInvariants(vm, vmInvariants);
});

test("a write to a disk file beyond what memory holds waits for the disk and goes on", () => {
  const { vm } = vmMachine({ nodes: [32 * MiB] });
  const { file, inode } = diskFile(vm, 1);
  const chunk = new Uint8Array(MiB).fill(5);
  for (let i = 0; i < 48; i++) expect(run(fileWrite(file, i * MiB, chunk))).toBe(MiB);
  expect(inode.size).toBe(48 * MiB);
  run(fsyncRange(inode.mapping));
  expect(inode.store?.block(48 * 256 - 1)[0]).toBe(5);
});
