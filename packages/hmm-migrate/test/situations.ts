// Situations that several cases begin with: a process with memory beside a device, and what may be in the way of a page.
import { MiB, type Page, run, type VirtAddr } from "@hetmem/kernel";
import { MapFlag, mmap, type Process, Prot } from "@hetmem/mm";
import { swapSpace } from "@hetmem/reclaim";
import {
  entryAt,
  type MigrateMachine,
  migrateMachine,
  type MigrateMachineOptions,
  TestDevice,
  type TestDeviceOptions,
} from "@hetmem/test-machines/migrate-machine";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

export interface SituationOptions extends MigrateMachineOptions {
  readonly device?: TestDeviceOptions;
  /** Pages that the device has. */
  readonly devicePages?: number;
  /** Whether huge pages are used where they fit. */
  readonly huge?: boolean;
}

export interface Situation {
  readonly machine: MigrateMachine;
  readonly device: TestDevice;
  /** It has memory at BASE. */
  readonly process: Process;
  /** Maps shared memory, where anywhere. */
  mapShared(pages: number): VirtAddr;
}

/** A process with so many pages of memory at BASE, and a device. */
export function createMemory(pages: number, options: SituationOptions = {}): Situation {
  const { devicePages = 64, huge = false, device: init } = options;
  const machine = migrateMachine(options);
  if (huge) machine.vm.tunables.transparentHugepage = "always";
  const device = new TestDevice(machine, { pages: devicePages, ...init });
  const process = machine.spawn(pages);
  return {
    machine,
    device,
    process,
    mapShared(count) {
      const flags = MapFlag.SHARED | MapFlag.ANONYMOUS;
      return run(mmap(mmOf(process), { length: count * PAGE, prot: Prot.READ | Prot.WRITE, flags }));
    },
  };
}

/** The n-th page of a process goes to swap. */
export function swapOut({ vm }: MigrateMachine, process: Process, n: number): void {
  swapSpace(vm).swapon({ path: "/dev/sda", size: MiB });
  // The first time it is found to have been used.
  for (let i = 0; i < 2; i++) run(vm.reclaim.reclaimPages(isolated(vm, entryAt(process, n).value as Page)));
}

function isolated(vm: MigrateMachine["vm"], page: Page): Page[] {
  if (!vm.lru.isolate(page)) throw new Error(`page ${page} is on no list`);
  return [page];
}
