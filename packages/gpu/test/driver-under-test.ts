// The reference device, with both kinds of memory, described for the driver kit.
import type { BoundDriver, DriverUnderTest } from "@hetmem/driver-kit/hmm-driver";
import { PAGE_SIZE } from "@hetmem/kernel";
import { DevicePte, type Gpu, probeGpu } from "../src/index.ts";

export function referenceDriver(memoryType: "private" | "coherent"): DriverUnderTest {
  return {
    name: `the reference device with ${memoryType} memory`,
    *probe({ vm, pagemaps, pages }) {
      const memoryBytes = pages * PAGE_SIZE;
      return bindGpu(yield* probeGpu({ vm, pagemaps, name: "gpu0", memoryType, memoryBytes }));
    },
  };
}

function bindGpu(gpu: Gpu): BoundDriver {
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
        lookup: (address) => {
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
