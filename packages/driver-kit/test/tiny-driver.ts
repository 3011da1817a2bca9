// The driver that the README builds, described for the kit.
import { PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { HmmPfn } from "@hetmem/hmm-mirror";
import { TinyGpu } from "../examples/tiny-gpu.ts";
import type { BoundDriver, DriverHost, DriverUnderTest } from "../src/hmm-driver/index.ts";

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

/** The engine of TinyGpu accesses one page at a time. */
function* byPage(gpu: TinyGpu, address: VirtAddr, bytes: Uint8Array, write: boolean): Sleeps<void> {
  for (let done = 0; done < bytes.length;) {
    const at = (address + done) as VirtAddr;
    const end = done + PAGE_SIZE - (at % PAGE_SIZE);
    yield* gpu.access(at, bytes.subarray(done, end), write);
    done = end;
  }
}
