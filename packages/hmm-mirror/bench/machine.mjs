// What the benchmarks run on: one node of memory, and processes with anonymous memory that is there.
import { createKernel, GiB, nodeId, physAddr, run, virtAddr } from "@hetmem/kernel";
import { allocMm, faultFast, FaultFlag, MapFlag, mmap, Prot, touchUser, Vm } from "@hetmem/mm";
import { bootMemory } from "@hetmem/zone";

export const PAGE = 4096;
export const BASE = virtAddr(0x7f00_0000_0000);

/** @param {number} gibibytes of memory @param {"always" | "never"} transparentHugepage */
export function bootVm(gibibytes, transparentHugepage) {
  const end = physAddr(gibibytes * GiB);
  const memory = bootMemory(createKernel(), {
    nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end }], cpus: [0] }],
    distances: [[10]],
    physicalBits: 46,
    maxPages: end / PAGE,
    reserved: [],
  });
  return new Vm(memory, { tunables: { transparentHugepage } });
}

/** An address space with `bytes` of private anonymous memory at BASE, of which the first `touched` have been written. */
export function populated(vm, bytes, touched) {
  const mm = allocMm(vm, nodeId(0));
  const process = vm.processes.add("bench", mm, undefined);
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.NORESERVE;
  run(mmap(mm, { address: BASE, length: bytes, prot: Prot.READ | Prot.WRITE, flags }));
  for (let at = 0; at < touched; at += PAGE) {
    if (faultFast(mm, BASE + at, FaultFlag.WRITE | FaultFlag.USER) !== 0) run(touchUser(process, BASE + at));
  }
  return mm;
}

/** Nanoseconds an operation: the median of some rounds, behind as many that warm up. */
export function measure(rounds, count, body) {
  const times = [];
  for (let round = 0; round < rounds * 2; round++) {
    const start = process.hrtime.bigint();
    body(round);
    times.push(Number(process.hrtime.bigint() - start) / count);
  }
  return times.slice(rounds).sort((a, b) => a - b)[rounds >> 1];
}
