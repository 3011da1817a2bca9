// What a snapshot says of each page, in the bytes of the kernel's test driver.
import { run } from "@hetmem/kernel";
import { MapFlag, mmap, mprotect, munmap, Prot } from "@hetmem/mm";
import { describe, expect, test } from "vitest";
import { DmirrorProt } from "../src/driver/index.ts";
import {
  at,
  BASE,
  cpuRead,
  cpuWrite,
  gpuMachine,
  mapAnon,
  MEMORY_TYPES,
} from "@hetmem/test-machines/gpu-machine";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

describe.each(MEMORY_TYPES)("with %s memory", (memoryType) => {
  test("a snapshot says where pages are, and what may be done with them, and changes nothing", () => {
    const machine = gpuMachine({ memoryType, gpus: 2 });
    const process = machine.spawn();
    mapAnon(process, 7);
    const [first, second] = machine.gpus.map((gpu) => machine.open(process, gpu));
    if (!first || !second) throw new Error("two devices");
    run(munmap(mmOf(process), at(0), PAGE));
    cpuRead(process, at(2));
    cpuWrite(process, at(3), 1);
    cpuWrite(process, at(4), 1);
    run(mprotect(mmOf(process), at(4), PAGE, Prot.READ));
    run(first.migrateTo(at(5), PAGE));
    run(second.migrateTo(at(6), PAGE));
    const { none, read, write, zero, error } = DmirrorProt;
    const [local, remote] =
      memoryType === "private"
        ? [DmirrorProt.devPrivateLocal, DmirrorProt.devPrivateRemote]
        : [DmirrorProt.devCoherentLocal, DmirrorProt.devCoherentRemote];
    // Another device's private page is moved back when it is asked for: until then there is nothing to reach.
    const other = memoryType === "private" ? none : remote | write;
    expect([...run(first.snapshot(BASE, 7 * PAGE))]).toEqual([
      error,
      none,
      zero | read,
      write,
      read,
      local | write,
      other,
    ]);
    expect(run(second.snapshot(at(6), PAGE))[0]).toBe(local | write);
    machine.check();
  });
});

test("a page of 2 MiB says so at each of its parts", () => {
  const machine = gpuMachine();
  const process = machine.spawn();
  machine.vm.tunables.transparentHugepage = "always";
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  run(mmap(mmOf(process), { address: BASE, length: 512 * PAGE, prot: Prot.READ | Prot.WRITE, flags }));
  cpuWrite(process, at(3), 3);
  const context = machine.open(process);
  const bytes = run(context.snapshot(BASE, 512 * PAGE));
  expect(bytes.every((byte) => byte === (DmirrorProt.write | DmirrorProt.pmd))).toBe(true);
});
