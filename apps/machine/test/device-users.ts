// Those who are there while device memory changes what it is: a process that maps the device, one whose memory it is, and
// somebody who takes the locks that others need.
import { getUserPagesFast, putUserPages } from "@hetmem/gup";
import {
  condResched,
  KernelError,
  MiB,
  nodeId,
  PAGE_SIZE,
  type Random,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import { setMempolicy } from "@hetmem/migrate";
import {
  exitProcess,
  MapFlag,
  mmap,
  munmap,
  type Process,
  Prot,
  readUser,
  type Signal,
  writeUser,
} from "@hetmem/mm";
import type { Machine } from "../src/machine.ts";
import { type CycleMachine, DAX, DEVICE_NODE, namespaceOf } from "./device-machine.ts";

/** A process with memory of the device's node, and what it has written there. */
export interface Worker {
  readonly process: Process;
  readonly at: VirtAddr;
  readonly contents: Uint8Array;
}

const WORKING_SET = 16 * PAGE_SIZE;
const READ_WRITE = { prot: Prot.READ | Prot.WRITE };

/** A process maps the device, writes to a page of it, finds that again through another mapping, and keeps a page for a while. */
export function* mapDevice(machine: CycleMachine, random: Random): Sleeps<void> {
  const { vm, devices } = machine;
  const process = yield* spawn(machine, "reader");
  try {
    const bytes = randomBytes(random, 100);
    const offset = random.below(512) * PAGE_SIZE;
    for (const isFirst of [true, false]) {
      const file = devices.open(`/dev/${DAX}`);
      if (!file || !process.mm) throw new Error(`${DAX} can't be opened`);
      const at = yield* mmap(process.mm, { length: 2 * MiB, ...READ_WRITE, flags: MapFlag.SHARED, file });
      const there = (at + offset) as VirtAddr;
      if (isFirst) {
        survive(yield* writeUser(process, there, bytes));
        const pages = new Int32Array(1);
        const held = yield* getUserPagesFast(process.mm, there, 1, { write: true }, pages);
        yield condResched;
        putUserPages(vm, [...pages.subarray(0, held)] as never);
      } else yield* expectContents(process, there, bytes);
      yield* munmap(process.mm, at, 2 * MiB);
    }
  } finally {
    yield* exitProcess(process);
  }
}

/** A process fills memory of the device's node. @throws KernelError ENOMEM when it doesn't get it, and is gone then */
export function* startWorker(machine: CycleMachine, random: Random): Sleeps<Worker> {
  const process = yield* spawn(machine, "worker");
  try {
    if (!process.mm) throw new Error("the worker has ended");
    setMempolicy(process.mm, { mode: "bind", nodes: [nodeId(DEVICE_NODE)] });
    const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
    const at = yield* mmap(process.mm, { length: WORKING_SET, ...READ_WRITE, flags });
    const contents = randomBytes(random, WORKING_SET);
    survive(yield* writeUser(process, at, contents));
    yield* expectContents(process, at, contents);
    return { process, at, contents };
  } catch (error) {
    yield* exitProcess(process);
    throw error;
  }
}

/** The process finds what it wrote, wherever that is by now, and ends. */
export function* endWorker({ process, at, contents }: Worker): Sleeps<void> {
  yield* expectContents(process, at, contents);
  yield* exitProcess(process);
}

/** Somebody else who takes locks that steps need, one after the other, and keeps each for a moment. */
export function* lockHolder(machine: CycleMachine, random: Random): Sleeps<void> {
  const { hotplug, nvdimm, devices } = machine;
  const { locks } = hotplug;
  for (let round = 0; round < 3; round++) {
    const device = devices.dax.bus.devices.get(DAX);
    const held = random.pick([
      () => under(locks.lockDeviceHotplug(), () => locks.unlockDeviceHotplug(), idle),
      () =>
        under(
          locks.lockDeviceHotplug(),
          () => locks.unlockDeviceHotplug(),
          () => under(locks.memHotplugBegin(), () => locks.memHotplugDone(), idle),
        ),
      () => under(locks.getOnlineMems(), () => locks.putOnlineMems(), idle),
      () => under(nvdimm.reconfig.lock(), () => nvdimm.reconfig.unlock(), idle),
      () => {
        const { lock } = device ?? namespaceOf(machine);
        return under(lock.lock(), () => lock.unlock(), idle);
      },
    ]);
    yield* held();
  }

  function* idle(): Sleeps<void> {
    for (let left = random.below(6); left > 0; left--) yield condResched;
  }
}

function* under(lock: Sleeps<void>, unlock: () => void, body: () => Sleeps<void>): Sleeps<void> {
  yield* lock;
  yield* body();
  unlock();
}

/** Starts a process. @throws KernelError ENOMEM */
export function* spawn({ processes }: Machine, name: string): Sleeps<Process> {
  const { userSpace } = processes;
  if (!userSpace) throw new Error("the machine has no processes");
  return yield* userSpace.start(name);
}

/** What a process wrote is still there. @throws KernelError ENOMEM when it is killed for want of memory */
export function* expectContents(process: Process, at: VirtAddr, wanted: Uint8Array): Sleeps<void> {
  const found = new Uint8Array(wanted.length);
  survive(yield* readUser(process, at, found));
  if (Buffer.compare(found, wanted) !== 0) throw new Error(`${process.comm} lost what it wrote at ${at}`);
}

/** Who is killed for want of memory did not get it. */
function survive(signal: Signal | undefined): void {
  if (!signal) return;
  if (signal.signo === "SIGKILL") throw new KernelError("ENOMEM", signal.reason);
  throw new Error(`${signal.signo}: ${signal.reason}`);
}

function randomBytes(random: Random, length: number): Uint8Array {
  return new Uint8Array(Uint32Array.from({ length: length / 4 }, () => random.nextUint32()).buffer);
}
