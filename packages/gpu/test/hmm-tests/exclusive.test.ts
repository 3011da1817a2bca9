// The kernel's HMM suite, by name: pages that a device has for itself, until a cpu touches them.
import { run } from "@hetmem/kernel";
import { forkProcess, mprotect, Prot } from "@hetmem/mm";
import { expect } from "vitest";
import {
  exit,
  hmm,
  load,
  makeExclusive,
  map,
  NPAGES,
  PRIVATE,
  RW,
  store,
  words,
  write,
  expectBytes,
} from "./dmirror.ts";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const SIZE = NPAGES * PAGE;
const ALL = { ret: "done", cpages: NPAGES, faults: 0 };
const counting = words(NPAGES, (i) => i);
const incremented = words(NPAGES, (i) => i + 1);

hmm("exclusive", ({ process, fd }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  store(process, ptr, counting);
  const mirror = new Uint8Array(SIZE);
  expect(makeExclusive(fd, ptr, mirror)).toEqual(ALL);
  expectBytes(mirror, counting);
  expect(fd.hasExclusive(ptr, SIZE)).toBe(true);
  expectBytes(load(process, ptr, NPAGES), counting);
  store(process, ptr, incremented);
  expectBytes(load(process, ptr, NPAGES), incremented);
  expect(fd.hasExclusive(ptr, SIZE)).toBe(false);
});

hmm("exclusive_mprotect", ({ process, fd }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  store(process, ptr, counting);
  const mirror = new Uint8Array(SIZE);
  expect(makeExclusive(fd, ptr, mirror)).toEqual(ALL);
  expectBytes(mirror, counting);
  run(mprotect(mmOf(process), ptr, SIZE, Prot.READ));
  expect(write(fd, ptr, incremented).ret).toBe("EPERM");
});

hmm("exclusive_cow", ({ process, fd }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  store(process, ptr, counting);
  expect(makeExclusive(fd, ptr, new Uint8Array(SIZE))).toEqual(ALL);
  const child = run(forkProcess(process));
  expectBytes(load(child, ptr, NPAGES), counting);
  store(child, ptr, incremented);
  expectBytes(load(process, ptr, NPAGES), counting);
  store(process, ptr, incremented);
  expectBytes(load(child, ptr, NPAGES), incremented);
  expectBytes(load(process, ptr, NPAGES), incremented);
  exit(child, []);
});
