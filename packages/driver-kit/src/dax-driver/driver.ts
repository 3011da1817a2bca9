// The interface that a driver of the dax bus offers to the kit: how it is made for a machine. The kit binds it to devices through the
// files of the bus, and looks at /proc/iomem, memory blocks and pagemaps.
import type { DaxDriver } from "@hetmem/dax";
import type { Pagemaps } from "@hetmem/memremap";
import type { Vm } from "@hetmem/mm";

/** The machine that a driver is made for. */
export interface DaxDriverHost {
  readonly vm: Vm;
  /** Pagemaps of the machine; `pagemaps.hotplug` adds memory. */
  readonly pagemaps: Pagemaps;
}

export interface DaxDriverUnderTest {
  /** For reports. */
  readonly name: string;
  /** Makes the driver. Called once for each trial, with devices of 128 MiB and more to come. */
  create(host: DaxDriverHost): DaxDriver;
}
