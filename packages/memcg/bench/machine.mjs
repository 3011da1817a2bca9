// What the benchmarks run on: a machine with one large node, with or without memory cgroups, and processes in the lowest
// of three levels.
import { createKernel, GiB, nodeId, physAddr, run, virtAddr } from "@hetmem/kernel";
import { Limits, MemoryCgroups } from "@hetmem/memcg";
import { allocMm, faultFast, FaultFlag, MapFlag, mmap, Prot, touchUser, Vm } from "@hetmem/mm";
import { reclaimParts } from "@hetmem/reclaim";
import { bootMemory } from "@hetmem/zone";

export const PAGE = 4096;
export const BASE = virtAddr(0x7f00_0000_0000);

/** @param {boolean} charged whether there are memory cgroups */
export function boot(gibibytes, charged) {
  const memory = bootMemory(createKernel(), {
    nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(gibibytes * GiB) }], cpus: [0] }],
    distances: [[10]],
    physicalBits: 46,
    maxPages: (gibibytes * GiB) / PAGE,
    reserved: [],
  });
  if (!charged) return { vm: new Vm(memory), memcgs: undefined, limits: undefined, cgroup: undefined };
  const memcgs = new MemoryCgroups(memory);
  const vm = new Vm(memory, { ...reclaimParts, charging: memcgs.charging });
  const limits = new Limits(memcgs);
  const slice = memcgs.create(memcgs.root, "system.slice");
  return { vm, memcgs, limits, cgroup: memcgs.create(slice, "bench.service") };
}

/** A process with `bytes` of private anonymous memory at BASE, none of it touched. */
export function spawn({ vm, cgroup }, bytes) {
  const mm = allocMm(vm, nodeId(0), 0, cgroup?.id ?? 0);
  const process = vm.processes.add("bench", mm, undefined);
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.NORESERVE;
  run(mmap(mm, { address: BASE, length: bytes, prot: Prot.READ | Prot.WRITE, flags }));
  return process;
}

/** Writes to every page of the first so many bytes. */
export function touch({ mm }, process, bytes) {
  for (let at = 0; at < bytes; at += PAGE)
    if (faultFast(mm, BASE + at, FaultFlag.WRITE | FaultFlag.USER) !== 0) run(touchUser(process, BASE + at));
}

/** Nanoseconds that something takes. */
export function timed(body) {
  const start = process.hrtime.bigint();
  body();
  return Number(process.hrtime.bigint() - start);
}

export function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
