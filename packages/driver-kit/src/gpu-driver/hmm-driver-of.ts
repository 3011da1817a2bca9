// A gpu driver as the kit of HMM drivers takes it: the device of a trial in place of that of a machine, and the requests that the
// driver leaves out in place of the machine's refusals.
import type { DeviceContext, GpuDescription, GpuDevice, GpuDriver } from "@hetmem/gpu/driver";
import { PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import type { BoundDriver, DriverMirror, DriverUnderTest } from "../hmm-driver/index.ts";

/** Transfers of a trial take no time, but let other tasks run. */
export const NO_LATENCY: GpuDescription["latency"] = { setupNs: 0, kibNs: 0, flushNs: 0 };

/**
 * Describes a gpu driver for `hmmDriverKit`.
 *
 * @param memory the kind of the device's memory
 */
export function hmmDriverOf(driver: GpuDriver, memory: GpuDescription["memory"]): DriverUnderTest {
  return {
    name: `${driver.name} with ${memory} memory`,
    *probe({ vm, pagemaps, pages }) {
      const description = { name: "gpu0", memory, size: pages * PAGE_SIZE, latency: NO_LATENCY };
      return boundTo(yield* driver.probe({ vm, pagemaps }, description), pages);
    },
  };
}

function boundTo(device: GpuDevice, pages: number): BoundDriver {
  return {
    get pagemap() {
      return device.memory?.pagemap;
    },
    *open(mm) {
      return mirrorOf(yield* device.open(mm));
    },
    evict: () => device.evict?.(pages) ?? nothing(),
    unbind: () => device.remove(),
  };
}

function mirrorOf(context: DeviceContext): DriverMirror {
  const { atomicAdd, migrateBack } = context;
  return {
    read: (address, into) => context.read(address, into),
    write: (address, from) => context.write(address, from),
    migrateTo: (address, length) => context.migrateTo?.(address, length) ?? nothing(),
    lookup: (address) => context.lookup(address),
    close: () => context.close(),
    ...(atomicAdd && { atomicAdd: atomicAdd.bind(context) }),
    ...(migrateBack && { migrateBack: migrateBack.bind(context) }),
  };
}

/** The request of a driver that doesn't have it moves no page. */
function* nothing(): Sleeps<void> {}
