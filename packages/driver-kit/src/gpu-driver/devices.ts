// What a machine counts on beside the obligations of an HMM driver: the numbers that a device shows, and that a machine may have
// several devices of one driver. Kernel counterpart: two devices of lib/test_hmm.c, as the fixture hmm2 of hmm-tests.c has them.
import type { DeviceContext, GpuDescription, GpuDevice, GpuDriver } from "@hetmem/gpu/driver";
import { KernelError, MiB, nodeId, PAGE_SIZE, type Pfn, Random, run } from "@hetmem/kernel";
import { allocMm, MapFlag, mmap, type MmStruct, type Process, Prot, readUser, writeUser } from "@hetmem/mm";
import { at, type TrialMachine, trialMachine } from "../machine.ts";
import { demand } from "../violation.ts";
import { NO_LATENCY } from "./hmm-driver-of.ts";

/** Pages of the process, and of each device. */
const PAGES = 4;

interface Trial {
  readonly machine: TrialMachine;
  readonly process: Process;
  readonly mm: MmStruct;
}

interface Opened {
  readonly device: GpuDevice;
  readonly context: DeviceContext;
}

export const countsItsPages = {
  name: "counts its pages",
  sentence: "The used and the free pages of a device's memory are those that it has, after each request.",
  attempt(driver: GpuDriver, memory: GpuDescription["memory"], seed: number): void {
    const trial = createTrial();
    const random = new Random(seed);
    const { device, context } = openDevice(trial, driver, "gpu0", memory);
    for (let i = 0; i < PAGES; i++) {
      const first = random.below(PAGES);
      const length = (1 + random.below(PAGES - first)) * PAGE_SIZE;
      if (context.migrateTo) run(context.migrateTo(at(first), length));
      demandCounted(trial, device, "pages have migrated to the device");
      if (random.below(2) === 0) run(readUser(trial.process, at(first), new Uint8Array(1)));
      else if (device.evict) run(device.evict(1));
      demandCounted(trial, device, "a page has gone to RAM");
    }
  },
};

export const keepsDevicesApart = {
  name: "keeps its devices apart",
  sentence: "Two devices of one driver have memory of their own, and one of them goes while the other works.",
  attempt(driver: GpuDriver, memory: GpuDescription["memory"], seed: number): void {
    const trial = createTrial();
    const devices = ["gpu0", "gpu1"].map((name) => openDevice(trial, driver, name, memory));
    const [goes, stays] = seed % 2 === 0 ? devices : devices.toReversed();
    if (!goes || !stays) return;
    for (const [i, { context }] of [goes, stays].entries())
      if (context.migrateTo) run(context.migrateTo(at(i), PAGE_SIZE));
    const { pagemap } = goes.device.memory ?? {};
    demand(pagemap === undefined || pagemap !== stays.device.memory?.pagemap, "two devices have one memory");
    run(goes.context.close());
    run(goes.device.remove());
    for (let i = 0; i < PAGES; i++) {
      run(stays.context.write(at(i), Uint8Array.of(i + 10)));
      const into = new Uint8Array(1);
      run(readUser(trial.process, at(i), into));
      demand(
        into[0] === i + 10,
        `one device has gone, and the cpu doesn't read what the other writes to page ${i}`,
      );
    }
    run(stays.context.close());
    run(stays.device.remove());
  },
};

/** A process with PAGES written pages, on a machine with room for the struct pages of two devices. */
function createTrial(): Trial {
  const machine = trialMachine({ ram: 8 * MiB, room: 2 });
  const { vm } = machine;
  const mm = allocMm(vm, nodeId(0));
  if (mm === undefined) throw new KernelError("ENOMEM", "the machine of the kit has no room for a process");
  const process = vm.processes.add("process", mm, undefined);
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  run(mmap(mm, { address: at(0), length: PAGES * PAGE_SIZE, prot: Prot.READ | Prot.WRITE, flags }));
  for (let i = 0; i < PAGES; i++) run(writeUser(process, at(i), Uint8Array.of(i + 1)));
  return { machine, process, mm };
}

function openDevice(
  { machine: { vm, pagemaps }, mm }: Trial,
  driver: GpuDriver,
  name: string,
  memory: GpuDescription["memory"],
): Opened {
  const description = { name, memory, size: PAGES * PAGE_SIZE, latency: NO_LATENCY };
  const device = run(driver.probe({ vm, pagemaps }, description));
  return { device, context: run(device.open(mm)) };
}

/** @throws Violation unless the numbers of the device are those of its frames */
function demandCounted({ machine: { vm } }: Trial, { memory }: GpuDevice, when: string): void {
  if (memory?.pagemap === undefined) return;
  const { pagemap, usedPages, freePages } = memory;
  let used = 0;
  for (const { start, end } of pagemap.spans)
    for (let frame = start; frame < end; frame = (frame + 1) as Pfn)
      if (vm.memmap.refcount(vm.memmap.pfnToPage(frame)) > pagemap.idleCount) used++;
  demand(usedPages === used, `${when}: ${used} are in use, and the device counts ${usedPages}`);
  demand(usedPages + freePages === PAGES, `${when}: ${usedPages} are used and ${freePages} free of ${PAGES}`);
}
