// What the benchmarks run on: a machine of two nodes, processes with anonymous memory, and a charge through a hierarchy of
// three, as a process in a cgroup of a slice would pay.
import { createKernel, GiB, nodeId, physAddr, run, virtAddr } from "@hetmem/kernel";
import { allocMm, faultFast, FaultFlag, MapFlag, mmap, Prot, touchUser, uncharged, Vm } from "@hetmem/mm";
import { bootMemory } from "@hetmem/zone";

export const PAGE = 4096;
export const BASE = virtAddr(0x7f00_0000_0000);
const BATCH = 64;

/** @param {number[]} gibibytes of each node */
export function bootVm(...gibibytes) {
  let at = 0;
  const nodes = gibibytes.map((size, id) => {
    const start = at;
    at += size * GiB;
    return { id: nodeId(id), memory: [{ start: physAddr(start), end: physAddr(at) }], cpus: [id] };
  });
  const memory = bootMemory(createKernel(), {
    nodes,
    distances: nodes.map((_, from) => nodes.map((__, to) => (from === to ? 10 : 20))),
    physicalBits: 46,
    maxPages: at / PAGE,
    reserved: [],
  });
  return new Vm(memory, { charging: threeLevels(at / PAGE) });
}

/** A process with `bytes` of private anonymous memory at BASE, none of it touched. */
export function spawn(vm, bytes) {
  const mm = allocMm(vm, nodeId(0));
  const process = vm.processes.add("bench", mm, undefined);
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.NORESERVE;
  run(mmap(mm, { address: BASE, length: bytes, prot: Prot.READ | Prot.WRITE, flags }));
  return process;
}

/** Writes to every page of [from, to) behind BASE, as a program does: most faults are fast, a few make a page table. */
export function touch(process, from, to) {
  const { mm } = process;
  for (let at = from; at < to; at += PAGE) {
    if (faultFast(mm, BASE + at, FaultFlag.WRITE | FaultFlag.USER) !== 0) run(touchUser(process, BASE + at));
  }
}

/** Nanoseconds an operation: the median of some rounds, behind as many that warm up. */
export function measure(rounds, count, prepare, body, cleanUp) {
  const times = [];
  for (let round = 0; round < rounds * 2; round++) {
    const subject = prepare();
    const start = process.hrtime.bigint();
    body(subject);
    times.push(Number(process.hrtime.bigint() - start) / count);
    cleanUp(subject);
  }
  return median(times.slice(rounds));
}

export function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** Counts pages for a cgroup, its parent and the root, in batches; each page knows its cgroup. @see mem_cgroup_charge() */
function threeLevels(total) {
  const usage = new Float64Array(3);
  const limit = Float64Array.of(total, total, total);
  const owners = new Uint16Array(total);
  let stock = 0;
  const uncharge = (page, count) => {
    owners[page] = 0;
    stock += count;
    if (stock <= 2 * BATCH) return;
    for (let level = 0; level < 3; level++) usage[level] -= BATCH;
    stock -= BATCH;
  };
  return {
    ...uncharged,
    tryCharge(_mm, page, count) {
      if (stock < count) {
        for (let level = 0; level < 3; level++) {
          if (usage[level] + BATCH > limit[level]) return false;
          usage[level] += BATCH;
        }
        stock += BATCH;
      }
      stock -= count;
      owners[page] = 1;
      return true;
    },
    uncharge,
    unchargeBatch(pages, count) {
      for (let i = 0; i < count; i++) uncharge(pages[i], 1);
    },
    migrate(old, fresh) {
      owners[fresh] = owners[old];
      owners[old] = 0;
    },
  };
}
