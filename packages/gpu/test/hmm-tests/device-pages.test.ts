// The kernel's HMM suite, by name: what gup and copy-on-write do with pages of a device.
import { gupTest, gupTestTable } from "@hetmem/gup";
import { run, virtAddr } from "@hetmem/kernel";
import { forkProcess } from "@hetmem/mm";
import { Vfs } from "@hetmem/vfs";
import { expect } from "vitest";
import { DmirrorProt } from "../../src/driver/index.ts";
import {
  exit,
  expectBytes,
  hmm,
  load,
  map,
  migrateSysToDev,
  PRIVATE,
  RW,
  snapshot,
  store,
  words,
} from "./dmirror.ts";
import { PAGE } from "@hetmem/test-machines/vm-machine";

const NPAGES = 4;
const SIZE = NPAGES * PAGE;
const ALL = { ret: "done", cpages: NPAGES, faults: 0 };
const counting = words(NPAGES, (i) => i);
/** FOLL_WRITE and FOLL_LONGTERM, as gup_test takes them. */
const WRITE = 0x1;
const LONGTERM = 0x10000;
const OPERATIONS = ["GUP_BASIC_TEST", "GUP_FAST_BENCHMARK", "PIN_FAST_BENCHMARK", "PIN_LONGTERM_BENCHMARK"];

hmm("hmm_gup_test", ({ machine, coherent, process, fd }) => {
  const files = new Vfs();
  files.mount(gupTestTable(machine.vm, gupTest));
  const ptr = map(process, NPAGES, RW, PRIVATE);
  store(process, ptr, counting);
  const mirror = new Uint8Array(SIZE);
  expect(migrateSysToDev(fd, ptr, mirror)).toEqual(ALL);
  expectBytes(mirror, counting);
  OPERATIONS.forEach((operation, page) => {
    const flags = WRITE | (operation === "PIN_FAST_BENCHMARK" ? LONGTERM : 0);
    const where = `addr=${virtAddr(ptr + page * PAGE)} size=${PAGE} nr_pages_per_call=1 gup_flags=${flags}`;
    run(files.write("/sys/kernel/debug/gup_test", `${operation} pid=${process.pid} ${where}`));
  });
  const { devCoherentLocal, write } = DmirrorProt;
  const there = coherent ? devCoherentLocal | write : write;
  expect(snapshot(fd, ptr, NPAGES)).toEqual([there, there, write, write]);
  expectBytes(load(process, ptr, NPAGES), counting);
});

hmm("hmm_cow_in_device", ({ process, fd }) => {
  const ptr = map(process, NPAGES, RW, PRIVATE);
  store(process, ptr, counting);
  expect(migrateSysToDev(fd, ptr, new Uint8Array(SIZE))).toEqual(ALL);
  const child = run(forkProcess(process));
  store(process, ptr, counting);
  exit(child, []);
  expect(snapshot(fd, ptr, NPAGES)).toEqual(Array.from({ length: NPAGES }, () => DmirrorProt.write));
});
