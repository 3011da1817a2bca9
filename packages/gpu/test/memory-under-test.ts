// The memory of the reference device, of both kinds, described for the kit of pagemap ops.
import type { PagemapUnderTest } from "@hetmem/driver-kit/pagemap-ops";
import { KernelBug, PAGE_SIZE } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { probeGpu } from "../src/index.ts";

export function referenceMemory(memoryType: "private" | "coherent"): PagemapUnderTest {
  return {
    name: `${memoryType} memory of the reference device`,
    *probe({ vm, pagemaps, pages, mm }) {
      const memoryBytes = pages * PAGE_SIZE;
      const gpu = yield* probeGpu({ vm, pagemaps, name: "gpu0", memoryType, memoryBytes });
      const context = yield* gpu.open(mm);
      const { pagemap } = gpu.memory;
      if (pagemap === undefined) throw new KernelBug("the reference device was probed, and has no memory");
      return {
        pagemap,
        alloc() {
          const page = gpu.memory.alloc();
          return page === NULL_PAGE ? undefined : page;
        },
        migrateTo: (address, length) => context.migrateTo(address, length),
      };
    },
  };
}
