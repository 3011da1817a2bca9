// The whole cycle from a device to RAM and back, with allocations that fail at random: each step either happens or leaves
// everything as it was, and in the end the machine is what it was before.
import { type FaultAttributes, KernelError, MiB, nodeId, Random, run } from "@hetmem/kernel";
import { MapFlag, mmap, Prot, touchUser, allocMm, exitProcess } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { allZones, Gfp, GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { expect, test } from "vitest";
import { addNamespace, kmemMachine, type KmemMachine } from "@hetmem/test-machines/kmem-machine";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 100);
const DRIVERS = "/sys/bus/dax/drivers";
const BLOCKS = [33, 34];

/** Something an administrator does, and how he sees that it has happened. */
interface Step {
  readonly name: string;
  act(machine: KmemMachine): void;
  happened(machine: KmemMachine): boolean;
}

const driverOf = ({ bus }: KmemMachine): string | undefined => bus.devices.get("dax0.0")?.driver?.name;
const state = (machine: KmemMachine, block: number): string | undefined =>
  machine.hotplug.blocks.get(block)?.state;

function command(name: string, path: string, text: string, happened: Step["happened"]): Step {
  return { name, act: (machine) => machine.write(path, text), happened };
}

const STEPS: readonly Step[] = [
  command("unbind", `${DRIVERS}/device_dax/unbind`, "dax0.0", (m) => driverOf(m) === undefined),
  command("new_id", `${DRIVERS}/kmem/new_id`, "dax0.0", (m) => driverOf(m) === "kmem"),
  ...BLOCKS.map((id) =>
    command(
      `online ${id}`,
      `/sys/devices/system/memory/memory${id}/state`,
      "online_movable",
      (m) => state(m, id) === "online",
    ),
  ),
  { name: "use", act: useMemory, happened: () => true },
  ...BLOCKS.map((id) =>
    command(
      `offline ${id}`,
      `/sys/devices/system/memory/memory${id}/state`,
      "offline",
      (m) => state(m, id) === "offline",
    ),
  ),
  command("unbind kmem", `${DRIVERS}/kmem/unbind`, "dax0.0", (m) => driverOf(m) === undefined),
  command("remove_id", `${DRIVERS}/kmem/remove_id`, "dax0.0", () => true),
  command("bind", `${DRIVERS}/device_dax/bind`, "dax0.0", (m) => driverOf(m) === "device_dax"),
  { name: "map", act: mapDevice, happened: () => true },
];

/** A program takes a page of the new node, writes to it, and gives it back. */
function useMemory({ memory }: KmemMachine): void {
  const { allocator, memmap } = memory;
  const page = allocator.allocPages(GFP_HIGHUSER_MOVABLE | Gfp.THISNODE, 0, nodeId(2));
  if (page === NULL_PAGE) throw new KernelError("ENOMEM", "no page of node 2 (injected)");
  memmap.contents.write(page, 0, Uint8Array.of(1, 2, 3));
  memmap.putPage(page);
}

function mapDevice({ vm, deviceDax, bus }: KmemMachine): void {
  const device = bus.devices.get("dax0.0");
  const mm = allocMm(vm, nodeId(0));
  if (!mm || !device) throw new KernelError("ENOMEM", "no memory for a process (injected)");
  const process = vm.processes.add("reader", mm, undefined);
  try {
    const file = deviceDax.open(device, true);
    const request = { length: 4 * MiB, prot: Prot.READ | Prot.WRITE, flags: MapFlag.SHARED, file };
    run(touchUser(process, run(mmap(mm, request))));
  } finally {
    run(exitProcess(process));
  }
}

/** All that a user of the machine could tell. */
function fingerprint(machine: KmemMachine): unknown {
  const { memory, hotplug, vfs, vm, pagemaps, bus } = machine;
  const zones = [...allZones(memory)].map((zone) => [
    zone.node,
    zone.name,
    zone.empty ? 0 : zone.startPfn,
    zone.spannedPages,
    zone.presentPages,
    zone.managedPages,
    zone.freePages + zone.pcp.reduce((count, pcp) => count + pcp.count, 0),
  ]);
  const texts: string[] = [];
  for (const root of ["/sys/bus/dax", "/sys/devices/LNXSYSTM:00", "/sys/devices/system/node", "/dev"])
    for (const { path, kind, target } of vfs.walk(root))
      texts.push(kind === "file" ? `${path} ${textOf(machine, path)}` : `${path} ${target}`);
  return {
    zones,
    texts: texts.filter((text) => !/(?:vm|numa)stat|meminfo/.test(text)),
    iomem: machine.iomemText(),
    sections: memory.memmap.sections.present(),
    vmemmap: hotplug.vmemmap.framesInUse,
    groups: hotplug.groups.count,
    tiers: vm.tiers.tiers.map(({ nodes }) => nodes),
    pagemaps: pagemaps.mapped().map(({ name, ref }) => [name, ref.count]),
    devices: [...bus.devices.values()].map(({ alive, lock }) => [alive, lock.locked]),
    held: machine.kernel.lockdep.current.held,
  };
}

function textOf({ read }: KmemMachine, path: string): string {
  try {
    return read(path);
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
}

/** Arms every fault point that there is. */
function armAll({ kernel: { faults } }: KmemMachine, seed: number): void {
  for (const [i, name] of faults.names().entries()) {
    const attributes: FaultAttributes = { probability: 15, seed: seed * 100 + i };
    faults.point(name).arm(attributes);
  }
}

/** Tries until it happens. @returns how often it didn't */
function persist(machine: KmemMachine, step: Step, random: Random): number {
  for (let failures = 0; ; failures++) {
    const before = fingerprint(machine);
    if (failures < 8) armAll(machine, random.below(1_000_000));
    let refused = false;
    try {
      step.act(machine);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      refused = true;
    }
    machine.kernel.faults.disarmAll();
    if (!refused && step.happened(machine)) return failures;
    expect([step.name, fingerprint(machine)]).toEqual([step.name, before]);
  }
}

test(
  "a device that becomes RAM and a device again leaves the machine as it was, whatever fails on the way",
  { timeout: 3_600_000 },
  () => {
    const machine = kmemMachine({ nodeSize: 128 * MiB, deviceSize: 1024 * MiB });
    addNamespace(machine, {
      range: { start: 0x1_0120_0000, end: 0x1_1800_0000 },
      pagemap: {
        range: { start: 0x1_0000_0000, end: 0x1_1800_0000 },
        altmap: { reserve: 2, free: 0x1200 - 2 },
      },
    });
    const random = new Random(7);
    for (const step of STEPS) persist(machine, step, random);
    const before = fingerprint(machine);
    const failures = new Map(STEPS.map(({ name }) => [name, 0]));
    for (let cycle = 0; cycle < RUNS; cycle++) {
      for (const step of STEPS)
        failures.set(step.name, (failures.get(step.name) ?? 0) + persist(machine, step, random));
      expect(fingerprint(machine)).toEqual(before);
    }
    for (const name of ["new_id", "bind", "map", "use"])
      expect([name, (failures.get(name) ?? 0) > 0]).toEqual([name, true]);
  },
);
