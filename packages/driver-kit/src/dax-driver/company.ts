// Obligations beside others: further devices of the driver, and hotplug of the same memory. Kernel counterpart: device_lock() keeps
// a device from two drivers, and device_hotplug_lock memory blocks from two changes.
import { daxInvariants, type DevDax } from "@hetmem/dax";
import { runSchedule } from "@hetmem/explore";
import { assertInvariants, condResched, KernelError, run, type Sleeps } from "@hetmem/kernel";
import { resourceInvariants } from "@hetmem/resource";
import { offlineBlock, onlineBlock, quickInvariants } from "@hetmem/zone";
import type { Obligation } from "../conformance.ts";
import { SECTION } from "../machine.ts";
import { demand } from "../violation.ts";
import type { DaxDriverUnderTest } from "./driver.ts";
import {
  addDevice,
  binds,
  blocksOf,
  createTrial,
  demandReserved,
  obligation,
  reserved,
  type Trial,
  unbinds,
} from "./trial.ts";

export const keepsDevicesApart = obligation({
  name: "keeps devices apart",
  sentence: "A device that is unbound takes nothing of another one along.",
  *try(trial) {
    const [one, other] = [yield* addDevice(trial, SECTION), yield* addDevice(trial, SECTION)];
    if (!(yield* binds(trial, one)) || !(yield* binds(trial, other))) return;
    const before = holdings(trial, other);
    if (!(yield* unbinds(trial, one))) return;
    const after = holdings(trial, other);
    demand(
      after === before,
      `${one.name} is unbound, and ${other.name}, which is bound, has ${after}, and not ${before}`,
    );
  },
});

export const holdsBesideHotplug: Obligation<DaxDriverUnderTest> = {
  name: "holds beside hotplug",
  sentence:
    "While blocks of the device go online and offline, its memory is a device's, or RAM that is reserved for the device.",
  attempt(subject, seed) {
    runSchedule(() => {
      const trial = createTrial(subject);
      const device = run(addDevice(trial, SECTION));
      const { bus, machine } = trial;
      return {
        kernel: machine.kernel,
        tasks: { admin: () => reconfigure(trial, device), onliner: () => switchBlocks(trial, device) },
        afterStep: () => assertInvariants(bus, daxInvariants),
        afterwards() {
          assertInvariants(machine.memory, quickInvariants);
          assertInvariants(machine.iomem, resourceInvariants);
          demandReserved(trial, device, `${device.name} was bound and unbound beside hotplug`);
        },
      };
    }, seed);
  },
};

/** The resources that a device's driver holds for it, as text. */
function holdings(trial: Trial, device: DevDax): string {
  const ranges = reserved(trial, device).length;
  const pagemaps = trial.machine.pagemaps.mapped().filter(({ name }) => name === device.name).length;
  return `${ranges} reserved ranges, ${blocksOf(trial, device).length} memory blocks and ${pagemaps} pagemaps`;
}

/** Binds and unbinds a device three times, as far as its driver does. */
function* reconfigure(trial: Trial, device: DevDax): Sleeps<void> {
  for (let i = 0; i < 3; i++) {
    yield* binds(trial, device);
    yield condResched;
    if (device.driver) yield* unbinds(trial, device);
    yield condResched;
  }
}

/** Takes each memory block of a device online and offline as it comes and goes. */
function* switchBlocks(trial: Trial, device: DevDax): Sleeps<void> {
  const { hotplug } = trial.machine;
  for (let i = 0; i < 12; i++) {
    yield condResched;
    yield* hotplug.locks.lockDeviceHotplug();
    try {
      const [block] = blocksOf(trial, device);
      if (block === undefined) continue;
      if (block.state === "online") yield* offlineBlock(hotplug, block);
      else yield* onlineBlock(hotplug, block, "online_movable");
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    } finally {
      hotplug.locks.unlockDeviceHotplug();
    }
  }
}
