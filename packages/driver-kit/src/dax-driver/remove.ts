// Obligations of remove(): it can't fail, gives back what nobody uses, and keeps what somebody does. Kernel counterpart:
// dev_dax_kmem_remove() in drivers/dax/kmem.c, dev_dax_release() and kill_dev_dax() of device_dax.
import type { DevDax } from "@hetmem/dax";
import { nodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { allocMm, MapFlag, mmap, type Process, Prot, readUser, writeUser } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, GFP_KERNEL, onlineBlock } from "@hetmem/zone";
import { at, SECTION } from "../machine.ts";
import { finishes } from "../steps.ts";
import { demand } from "../violation.ts";
import {
  addDevice,
  bind,
  binds,
  blocksOf,
  demandReserved,
  demandSame,
  difference,
  obligation,
  reserved,
  resize,
  stateOf,
  TARGET_NODE,
  type Trial,
  unbind,
  unbinds,
} from "./trial.ts";

export const givesBack = obligation({
  name: "gives back what it took",
  sentence: "remove() leaves the machine as before the probe; one with keepsMemory leaves it as it is.",
  *try(trial) {
    const device = yield* addDevice(trial, SECTION);
    const before = stateOf(trial);
    if (!(yield* binds(trial, device))) return;
    const bound = stateOf(trial);
    if (!(yield* unbinds(trial, device))) return;
    const wanted = trial.driver.keepsMemory === true ? bound : before;
    demandSame(wanted, stateOf(trial), `${device.name} is unbound`);
  },
});

export const letsGoWhileInUse = obligation({
  name: "lets go while memory is in use",
  sentence: "remove() ends and doesn't throw, though blocks are online, pages in use and devices mapped.",
  *try(trial) {
    const device = yield* addDevice(trial, SECTION);
    if (!(yield* binds(trial, device))) return;
    yield* use(trial, device);
    const process = yield* mapInto(trial, device);
    const unbound = yield* finishes(unbind(trial, device));
    demand(unbound !== undefined, `${device.name} is in use, and its driver waits for that to end`);
    if (process === undefined) return;
    const signal = yield* readUser(process, at(0), new Uint8Array(1));
    demand(signal !== undefined, `${device.name} has no driver, and a process still reads its memory`);
  },
});

export const keepsMemoryInUse = obligation({
  name: "keeps memory that is in use",
  sentence:
    "RAM that can't be removed stays RAM, reserved for its device, and the device can't be bound again.",
  *try(trial) {
    const device = yield* addDevice(trial, SECTION);
    if (!(yield* binds(trial, device))) return;
    const page = yield* use(trial, device);
    if (page === undefined || !(yield* unbinds(trial, device))) return;
    const { memmap } = trial.machine.memory;
    const when = `a page of ${device.name} is in use, and the driver has let go`;
    demand(blocksOf(trial, device).length > 0, `${when}: the memory block under it is gone`);
    demand(memmap.refcount(page) === 1, `${when}: its reference count is ${memmap.refcount(page)}, not 1`);
    demandReserved(trial, device, when);
    yield* demandRefused(trial, device, when);
  },
});

export const leavesTheDeviceAlone = obligation({
  name: "leaves a device alone that it has given back",
  sentence: "After remove() the memory is the bus's, which gives it to other devices.",
  *try(trial) {
    const [old, fresh] = [yield* addDevice(trial, SECTION), yield* addDevice(trial, 0)];
    const before = stateOf(trial);
    if (!(yield* binds(trial, old)) || !(yield* unbinds(trial, old))) return;
    if (difference(before, stateOf(trial)) !== undefined) return;
    yield* resize(trial, old, 0);
    yield* resize(trial, fresh, SECTION);
    const taken = stateOf(trial);
    yield* bind(trial, fresh);
    const left = reserved(trial, old).length;
    demand(left === 0, `${old.name} has no memory any more, and ${left} ranges are reserved for it`);
    yield* unbind(trial, fresh);
    const after = stateOf(trial);
    demandSame(taken, after, `${fresh.name} has the memory that ${old.name} had, and is unbound`);
  },
});

/** A process that has written to a mapping of the device at at(0); undefined for a driver whose devices have no file. */
function* mapInto({ driver, machine: { vm } }: Trial, device: DevDax): Sleeps<Process | undefined> {
  const file = driver.open?.(device, true);
  const mm = allocMm(vm, nodeId(0));
  if (file === undefined || mm === undefined) return undefined;
  const process = vm.processes.add("process", mm, undefined);
  const flags = MapFlag.SHARED | MapFlag.FIXED;
  const prot = Prot.READ | Prot.WRITE;
  yield* mmap(mm, { address: at(0), length: device.align, prot, flags, file });
  const signal = yield* writeUser(process, at(0), Uint8Array.of(1));
  demand(signal === undefined, `${device.name} is mapped, and a write to it ends in ${signal?.signo}`);
  return process;
}

/** Takes a page of the device's RAM into use, on a block that goes online for it. @returns undefined without RAM */
function* use(trial: Trial, device: DevDax): Sleeps<Page | undefined> {
  const { hotplug, memory } = trial.machine;
  const [block] = blocksOf(trial, device);
  if (block === undefined) return undefined;
  yield* hotplug.locks.lockDeviceHotplug();
  try {
    yield* onlineBlock(hotplug, block, "online_kernel");
  } finally {
    hotplug.locks.unlockDeviceHotplug();
  }
  const page = memory.allocator.allocPages(GFP_KERNEL | Gfp.THISNODE, 0, nodeId(TARGET_NODE));
  demand(
    page !== NULL_PAGE,
    `memory${block.id} of ${device.name} is online, and node ${TARGET_NODE} has no page`,
  );
  return page;
}

function* demandRefused(trial: Trial, device: DevDax, when: string): Sleeps<void> {
  const before = stateOf(trial);
  demand(!(yield* binds(trial, device)), `${when}: its range is RAM, and the device was bound again`);
  demandSame(before, stateOf(trial), `${when}: the device was refused`);
}
