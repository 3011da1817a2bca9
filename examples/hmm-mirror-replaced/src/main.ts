// The mirror is a port: @hetmem/gpu, the reference driver, takes any function of the type HmmRangeFault. Two implementations
// are compared here, and the driver kit tries every obligation of the driver with ours in place of the kernel's.
import { checkConformance, formatConformance } from "@hetmem/driver-kit";
import { type BoundDriver, type DriverUnderTest, hmmDriverKit } from "@hetmem/driver-kit/hmm-driver";
import { DevicePte, type Gpu, probeGpu } from "@hetmem/gpu";
import { allocHmmPfns, HmmPfn, type HmmRangeFault, hmmRangeFault, requestHmmPfn } from "@hetmem/hmm-mirror";
import { createKernel, MiB, nodeId, PAGE_SIZE, physAddr, run, type VirtAddr } from "@hetmem/kernel";
import { allocMm, MapFlag, mmap, type MmStruct, Prot, Vm } from "@hetmem/mm";
import {
  MmuIntervalNotifier,
  mmuIntervalNotifierInsert,
  mmuIntervalReadBegin,
  mmuIntervalSetSeq,
} from "@hetmem/mmu-notifier";
import { bootMemory } from "@hetmem/zone";
import { exactRangeFault } from "./exact-range-fault.ts";

const PAGES = 16;

for (const [name, rangeFault] of Object.entries({ hmmRangeFault, exactRangeFault })) {
  const mm = bootProcess();
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
  const start = run(mmap(mm, { length: PAGES * PAGE_SIZE, prot: Prot.READ | Prot.WRITE, flags }));
  requestTwoPages(mm, start, rangeFault);
  console.log(`${name}: the device asked for 2 pages of ${PAGES}, the process has ${mm.rssPages}`);
}

console.log(formatConformance(checkConformance(hmmDriverKit, gpuOver(exactRangeFault), { seeds: 5 })));

function bootProcess(): MmStruct {
  const nodes = [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(64 * MiB) }], cpus: [0] }];
  const maxPages = (64 * MiB) / PAGE_SIZE;
  const boot = { nodes, physicalBits: 36, maxPages };
  const mm = allocMm(new Vm(bootMemory(createKernel(), boot)), nodeId(0));
  if (mm === undefined) throw new Error("no memory for a page table");
  return mm;
}

/** A driver's look at a range, which asks for the first and the last page. */
function requestTwoPages(mm: MmStruct, start: VirtAddr, rangeFault: HmmRangeFault): void {
  const notifier = new MmuIntervalNotifier(
    {
      *invalidate(self, _range, sequence) {
        mmuIntervalSetSeq(self, sequence);
        return true;
      },
    },
    undefined,
  );
  run(mmuIntervalNotifierInsert(notifier, mm, start, PAGES * PAGE_SIZE));
  const hmmPfns = allocHmmPfns(PAGES);
  for (const page of [0, PAGES - 1]) requestHmmPfn(hmmPfns, page, HmmPfn.reqFault | HmmPfn.reqWrite);
  const range = {
    notifier,
    notifierSeq: run(mmuIntervalReadBegin(notifier)),
    start,
    end: (start + PAGES * PAGE_SIZE) as VirtAddr,
    hmmPfns,
    defaultFlags: 0,
    pfnFlagsMask: HmmPfn.reqFault | HmmPfn.reqWrite,
  };
  run(mm.mmapLock.downRead());
  run(rangeFault(range));
  mm.mmapLock.upRead();
}

/** The reference driver over a mirror, as the kit drives it. */
function gpuOver(rangeFault: HmmRangeFault): DriverUnderTest {
  return {
    name: "the reference device over exactRangeFault",
    *probe({ vm, pagemaps, pages }) {
      const memory = { memoryType: "private", memoryBytes: pages * PAGE_SIZE } as const;
      return bind(yield* probeGpu({ vm, pagemaps, name: "gpu0", ...memory, rangeFault }));
    },
  };
}

function bind(gpu: Gpu): BoundDriver {
  return {
    get pagemap() {
      return gpu.memory.pagemap;
    },
    *open(mm) {
      const context = yield* gpu.open(mm);
      return {
        read: (address, into) => context.read(address, into),
        write: (address, from) => context.write(address, from),
        atomicAdd: (address, value) => context.atomicAdd(address, value),
        migrateTo: (address, length) => context.migrateTo(address, length),
        migrateBack: (address, length) => context.migrateBack(address, length),
        lookup(address) {
          const flags = context.table.flags(address);
          if ((flags & DevicePte.read) === 0) return undefined;
          return { page: context.table.page(address), write: (flags & DevicePte.write) !== 0 };
        },
        close: () => context.close(),
      };
    },
    evict: () => gpu.evict(gpu.memory.pages),
    unbind: () => gpu.remove(),
  };
}
