// The drivers that the conformance kit tries: the reference device with both kinds of memory, and the one that the README
// builds.
import { PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { HmmPfn } from "@hetmem/hmm-mirror";
import { TinyGpu } from "../../examples/tiny-gpu.ts";
import type { BoundDriver, DriverHost, DriverUnderTest } from "../../src/conformance/index.ts";
import { DevicePte, Gpu, probeGpu } from "../../src/index.ts";

export function referenceDriver(memoryType: "private" | "coherent"): DriverUnderTest {
  return {
    name: `the reference device with ${memoryType} memory`,
    *probe({ vm, pagemaps, pages }) {
      const memoryBytes = pages * PAGE_SIZE;
      return bindGpu(yield* probeGpu({ vm, pagemaps, name: "gpu0", memoryType, memoryBytes }));
    },
  };
}

export function tinyDriver(Driver: typeof TinyGpu = TinyGpu): DriverUnderTest {
  return {
    name: Driver.name,
    *probe({ vm, pagemaps, pages }: DriverHost): Sleeps<BoundDriver> {
      const gpu = new Driver(vm, pagemaps, pages);
      return {
        pagemap: gpu.pagemap,
        *open(mm) {
          yield* gpu.bind(mm);
          return {
            read: (address, into) => byPage(gpu, address, into, false),
            write: (address, from) => byPage(gpu, address, from, true),
            migrateTo: (address, length) => gpu.toDevice(address, (address + length) as VirtAddr),
            lookup: (address) => {
              const entry = gpu.table.get(address);
              return entry && { page: entry.page, write: (entry.flags & HmmPfn.write) !== 0 };
            },
            // Its mirror goes when the driver does.
            *close() {},
          };
        },
        evict: () => gpu.evict(),
        unbind: () => gpu.unbind(),
      };
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

/** Its engine does a page at a time. */
function* byPage(gpu: TinyGpu, address: VirtAddr, bytes: Uint8Array, write: boolean): Sleeps<void> {
  for (let done = 0; done < bytes.length;) {
    const at = (address + done) as VirtAddr;
    const end = done + PAGE_SIZE - (at % PAGE_SIZE);
    yield* gpu.access(at, bytes.subarray(done, end), write);
    done = end;
  }
}
