// Who gets in each other's way on a machine with device memory: administrators who write to files of /sys or type programs,
// and processes whose pages these are.
import { getUserPagesFast, putUserPages } from "@hetmem/gup";
import {
  condResched,
  KernelError,
  MiB,
  nodeId,
  PAGE_SIZE,
  type Random,
  run,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import { queryPages, setMempolicy } from "@hetmem/migrate";
import {
  exitProcess,
  MapFlag,
  mmap,
  type MmStruct,
  type Process,
  Prot,
  touchUser,
  writeUser,
} from "@hetmem/mm";
import {
  busesIn,
  createNamespace,
  destroyNamespace,
  disableRegion,
  enableRegion,
  type NamespaceMode,
  namespacesIn,
  NO_DEVICE_NODES,
  type NdctlContext,
  type NdRegion,
  regionsIn,
  SILENT,
} from "@hetmem/ndctl";
import { Shell } from "@hetmem/shell";
import type { Machine } from "../src/machine.ts";
import { PROGRAMS } from "../src/programs/index.ts";
import { DEVICE_NODE } from "./device-machine.ts";
import { expectContents, spawn } from "./device-users.ts";

export interface World {
  readonly machine: Machine;
  readonly random: Random;
  /** Something that the rivals are to meet was met. */
  note(what: string): void;
}

const DRIVERS = "/sys/bus/dax/drivers";
const READ_WRITE = { prot: Prot.READ | Prot.WRITE };

/** Makes RAM of a device, and a device again, as daxctl does: RAM that can't go offline stays. */
export function* toRamAndBack({ machine, random, note }: World, device: string, block: number): Sleeps<void> {
  const { hotplug } = machine;
  yield* later(random);
  yield* tryWrite(machine, `${DRIVERS}/device_dax/unbind`, device);
  yield* tryWrite(machine, `${DRIVERS}/kmem/new_id`, device);
  yield* tryWrite(machine, stateOf(block), "online_movable");
  if (hotplug.blocks.get(block)?.state === "online") note("admin: online");
  yield* tryWrite(machine, stateOf(block), "offline");
  yield* tryWrite(machine, `${DRIVERS}/kmem/remove_id`, device);
  if (hotplug.blocks.get(block)?.state === "offline")
    yield* tryWrite(machine, `${DRIVERS}/kmem/unbind`, device);
  const refusal = yield* tryWrite(machine, `${DRIVERS}/device_dax/bind`, device);
  note(`admin: ${refusal ?? "done"}`);
}

/** Makes a device of RAM, and RAM again. */
export function* backAndToRam({ machine, random, note }: World, device: string, block: number): Sleeps<void> {
  yield* later(random);
  const refusal = yield* tryWrite(machine, stateOf(block), "offline");
  note(`admin: ${refusal ?? "offline"}`);
  if (refusal) return;
  yield* tryWrite(machine, `${DRIVERS}/kmem/unbind`, device);
  yield* tryWrite(machine, `${DRIVERS}/kmem/bind`, device);
  yield* tryWrite(machine, stateOf(block), "online_movable");
}

/** Takes a device from its driver and gives it back, twice. */
export function* rebinding({ machine, random, note }: World, device: string): Sleeps<void> {
  yield* later(random);
  for (let i = 0; i < 2; i++) {
    yield* tryWrite(machine, `${DRIVERS}/device_dax/unbind`, device);
    const refusal = yield* tryWrite(machine, `${DRIVERS}/device_dax/bind`, device);
    note(`driver: ${refusal ?? "done"}`);
  }
}

/** A process maps a device, touches it, and keeps a page for a while. */
export function holder(world: World, name: string): Sleeps<void> {
  return holding(world, name, run(spawn(world.machine, "reader")));
}

function* holding({ machine, random, note }: World, name: string, process: Process): Sleeps<void> {
  try {
    for (let i = 0; i < 2 && process.mm; i++) {
      const file = machine.devices.open(`/dev/${name}`);
      if (!file) return;
      const at = yield* mmap(process.mm, { length: 2 * MiB, ...READ_WRITE, flags: MapFlag.SHARED, file });
      yield* touchUser(process, (at + random.below(512) * PAGE_SIZE) as VirtAddr);
      if (!process.mm) return;
      const pages = new Int32Array(2);
      const held = yield* getUserPagesFast(process.mm, at, 2, { write: true }, pages);
      if (held > 0) note("reader: held");
      for (let left = random.below(8); left > 0; left--) yield condResched;
      putUserPages(machine.vm, [...pages.subarray(0, held)] as never);
    }
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    note(`reader: ${error.errno}`);
  } finally {
    yield* exitProcess(process);
  }
}

/** A process writes to memory, of the device's node where that has some, and reads it again. */
export function worker(world: World): Sleeps<void> {
  return working(world, run(spawn(world.machine, "worker")));
}

function* working({ machine, random, note }: World, process: Process): Sleeps<void> {
  const { mm } = process;
  if (!mm) return;
  try {
    const at = yield* mmap(mm, {
      length: 8 * PAGE_SIZE,
      ...READ_WRITE,
      flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS,
    });
    const written = new Map<VirtAddr, Uint8Array>();
    for (let i = 0; i < 8; i++) {
      if (machine.memory.nodes[DEVICE_NODE]?.online) prefer(mm);
      const there = (at + random.below(8) * PAGE_SIZE) as VirtAddr;
      const bytes = Uint8Array.of(random.below(256), i);
      yield* writeUser(process, there, bytes);
      written.set(there, bytes);
      yield condResched;
      for (const [address, wanted] of written) yield* expectContents(process, address, wanted);
      const [node] = yield* queryPages(process, [there]);
      if (node !== undefined && node >= 0) note(`worker: on node ${node}`);
    }
  } finally {
    yield* exitProcess(process);
  }
}

/** Makes a namespace of half of the region, and destroys it if that went well. */
export function* namespaceForAWhile(
  { machine, random, note }: World,
  who: string,
  mode: NamespaceMode,
): Sleeps<void> {
  const context = contextOf(machine);
  yield* later(random);
  try {
    const options = { mode, size: 64 * MiB, map: "mem" } as const;
    const namespace = yield* createNamespace(context, regionsOf(context), options);
    yield* later(random);
    yield* destroyNamespace(context, namespace, { force: true });
    note(`${who}: done`);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    note(`${who}: ${error.errno}`);
  }
}

/** No namespace is left, and those that come are numbered from 0. */
export function withoutNamespaces(machine: Machine): void {
  const context = contextOf(machine);
  for (const region of regionsOf(context)) {
    for (const namespace of namespacesIn(context, region))
      run(destroyNamespace(context, namespace, { force: true }));
    run(disableRegion(context, region));
    run(enableRegion(context, region));
  }
}

function contextOf({ vfs, devices }: Machine): NdctlContext {
  return { vfs, nodes: devices.nvdimmNodes ?? NO_DEVICE_NODES, report: SILENT };
}

function regionsOf(context: NdctlContext): NdRegion[] {
  return busesIn(context).flatMap((bus) => regionsIn(context, bus));
}

/** Types lines one after the other. */
export function* typing({ machine, note }: World, lines: readonly string[]): Sleeps<void> {
  const shell = shellOn(machine);
  for (const line of lines) {
    const { status } = yield* shell.execute(line);
    note(`${line}: ${status}`);
  }
}

/** Types lines when nobody else does. */
export function type(machine: Machine, ...lines: readonly string[]): void {
  const shell = shellOn(machine);
  for (const line of lines) {
    const { status, stderr } = run(shell.execute(line));
    if (status !== 0) throw new Error(`${line} ends with ${status}: ${stderr}`);
  }
}

/** No process starts for a program that is typed there. */
function shellOn({ vfs, kernel, spec, devices }: Machine): Shell {
  return new Shell({ vfs, kernel, spec, devices }, PROGRAMS);
}

/** Whatever the rivals left: a device of device_dax, and nothing of it RAM. */
export function backToDevice(machine: Machine, name: string): void {
  const { dax } = machine.devices;
  const device = dax.bus.devices.get(name);
  if (device?.driver?.name === "device_dax") return;
  if (device?.driver) {
    for (const id of machine.hotplug.blocks.keys())
      if (id >= FIRST_BLOCK) type(machine, `echo offline > ${stateOf(id)}`);
    write(machine, `${DRIVERS}/kmem/unbind`, name);
  }
  write(machine, `${DRIVERS}/kmem/remove_id`, name);
  write(machine, `${DRIVERS}/device_dax/bind`, name);
}

/** Whatever the rivals left: RAM, and online. */
export function backToRam(machine: Machine, name: string, block: number): void {
  const driver = machine.devices.dax.bus.devices.get(name)?.driver?.name;
  if (driver === "device_dax") write(machine, `${DRIVERS}/device_dax/unbind`, name);
  if (driver !== "kmem") write(machine, `${DRIVERS}/kmem/new_id`, name);
  if (machine.hotplug.blocks.get(block)?.state !== "online") write(machine, stateOf(block), "online_movable");
}

/** First block behind the machine's own memory. */
const FIRST_BLOCK = 32;

/** Others may have begun. */
function* later(random: Random): Sleeps<void> {
  for (let left = random.below(60); left > 0; left--) yield condResched;
}

function stateOf(block: number): string {
  return `/sys/devices/system/memory/memory${block}/state`;
}

function write({ vfs }: Machine, path: string, text: string): void {
  run(vfs.write(path, `${text}\n`));
}

/** @returns why it was refused */
function* tryWrite({ vfs }: Machine, path: string, text: string): Sleeps<string | undefined> {
  try {
    yield* vfs.write(path, `${text}\n`);
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
  yield condResched;
  return undefined;
}

/** The node's memory is where a process's pages come from, as long as there is some. */
function prefer(mm: MmStruct): void {
  try {
    setMempolicy(mm, { mode: "preferred", nodes: [nodeId(DEVICE_NODE)] });
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}
