// A device's memory becomes RAM and a device's memory again.
import { allocDaxRegion, createDevDax, type DevDax } from "@hetmem/dax";
import { GiB, type MediaPoison, MiB, nodeId, physAddr, run } from "@hetmem/kernel";
import {
  IORESOURCE_SYSTEM_RAM,
  pageIsRam,
  REGION_INTERSECTS,
  regionIntersects,
  requestRegion,
} from "@hetmem/resource";
import { expect, test } from "vitest";
import { kmemAddOnly, kmemCaveats, kmemHotremove, kmemRanges } from "../src/index.ts";
import { addNamespace, kmemMachine, type KmemMachine } from "@hetmem/test-machines/kmem-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { SECTION } from "@hetmem/test-machines/ram";

const DRIVERS = "/sys/bus/dax/drivers";
const START = 0x1_0800_0000;

function toSystemRam(machine: KmemMachine, name = "dax0.0"): void {
  if (machine.bus.devices.get(name)?.driver) machine.write(`${DRIVERS}/device_dax/unbind`, name);
  machine.write(`${DRIVERS}/kmem/new_id`, name);
}

function toDevdax(machine: KmemMachine, name = "dax0.0"): void {
  machine.write(`${DRIVERS}/kmem/unbind`, name);
  machine.write(`${DRIVERS}/kmem/remove_id`, name);
  machine.write(`${DRIVERS}/device_dax/bind`, name);
}

function setState(machine: KmemMachine, state: string): void {
  for (const path of machine.vfs.glob("/sys/devices/system/memory/memory3[3-9]/state"))
    machine.write(path, state);
}

function dynamicDevice(machine: KmemMachine, size: number, targetNode = 2): DevDax {
  const region = allocDaxRegion(
    machine.bus,
    { devpath: "devices/platform/hmem.1", numaNode: 0 },
    { id: 1, start: physAddr(2 * GiB), size: 2 * GiB, targetNode, align: 2 * MiB, kind: "dynamic" },
  );
  const device = run(createDevDax(region, { size: 0 }));
  if (size > 0) machine.write("/sys/bus/dax/devices/dax1.0/size", `${size}`);
  return device;
}

test("the node that the firmware names comes online with the memory, and goes with it", () => {
  const machine = kmemMachine();
  addNamespace(machine);
  const online = (): string => machine.read("/sys/devices/system/node/online");
  expect(online()).toBe("0-1\n");
  toSystemRam(machine);
  expect(online()).toBe("0-2\n");
  expect(machine.read("/sys/devices/system/node/node2/distance")).toBe("40 41 10\n");
  expect(machine.read("/sys/devices/system/node/node2/cpulist")).toBe("\n");
  toDevdax(machine);
  expect(online()).toBe("0-1\n");
});

test("memory that is a child of a device's range is found as RAM", () => {
  const machine = kmemMachine();
  addNamespace(machine);
  toSystemRam(machine);
  expect(pageIsRam(machine.iomem, (START / 4096) as never)).toBe(true);
  expect(regionIntersects(machine.iomem, START, SECTION, IORESOURCE_SYSTEM_RAM)).toBe(REGION_INTERSECTS);
});

test("the slow node is a tier of its own, until its last device has gone", () => {
  const machine = kmemMachine();
  addNamespace(machine);
  toSystemRam(machine);
  setState(machine, "online_movable");
  const tiers = (): (readonly number[])[] => machine.vm.tiers.tiers.map(({ nodes }) => nodes);
  expect(tiers()).toEqual([[0, 1], [2]]);
  expect(machine.vm.tiers.isToptier(nodeId(2))).toBe(false);
  setState(machine, "offline");
  toDevdax(machine);
  expect(tiers()).toEqual([[0, 1]]);
});

test("what is left of a range after trimming to memory blocks is added, and how much was lost is known", () => {
  const machine = kmemMachine();
  const { device } = addNamespace(machine);
  const { usable, trimmedBytes } = kmemRanges(device, SECTION);
  expect(usable).toEqual([{ mapping: 0, start: START, end: 0x1_3fff_ffff }]);
  expect(trimmedBytes).toBe(START - 0x1_0120_0000);
});

test("a device without a whole memory block is refused, and the log says why", () => {
  const machine = kmemMachine();
  dynamicDevice(machine, 64 * MiB);
  machine.write(`${DRIVERS}/kmem/new_id`, "dax1.0");
  expect(machine.dmesg().slice(-3)).toEqual([
    "kmem dax1.0: mapping0: 0x80000000-0x83ffffff too small after alignment",
    "kmem dax1.0: rejecting DAX region without any memory after alignment",
    "kmem: probe of dax1.0 failed with error -22",
  ]);
  expect(outcome(() => machine.write(`${DRIVERS}/kmem/bind`, "dax1.0"))).toBe("EINVAL");
});

test("a device whose node the firmware doesn't name is refused", () => {
  const machine = kmemMachine();
  dynamicDevice(machine, SECTION, -1);
  machine.write(`${DRIVERS}/kmem/new_id`, "dax1.0");
  expect(machine.dmesg().at(-2)).toBe("kmem dax1.0: rejecting DAX region with invalid node: -1");
  expect(machine.bus.devices.get("dax1.0")?.driver).toBeUndefined();
});

test("a node that is not possible on the machine is refused, and nothing is left", () => {
  const machine = kmemMachine();
  const before = machine.iomemText();
  dynamicDevice(machine, SECTION, 7);
  machine.write(`${DRIVERS}/kmem/new_id`, "dax1.0");
  expect(machine.dmesg()).toContain("kmem dax1.0: mapping0: 0x80000000-0x87ffffff memory add failed");
  expect(machine.iomemText()).toBe(before);
});

test("of a device with several ranges, those that are taken are left out as long as one is not", () => {
  const machine = kmemMachine();
  const device = dynamicDevice(machine, 0);
  for (const range of ["80000000-87ffffff", "90000000-97ffffff", "a0000000-a3ffffff", "b0000000-b7ffffff"])
    machine.write("/sys/bus/dax/devices/dax1.0/mapping", range);
  requestRegion(machine.iomem, 0xb000_0000, 4096, "somebody else");
  machine.write(`${DRIVERS}/kmem/new_id`, "dax1.0");
  expect(machine.kmem.rangesOf(device).map(({ start }) => start)).toEqual([0x8000_0000, 0x9000_0000]);
  expect(machine.dmesg()).toContain("kmem dax1.0: mapping2: 0xa0000000-0xa3ffffff too small after alignment");
  expect(machine.dmesg()).toContain("kmem dax1.0: mapping3: 0xb0000000-0xb7ffffff could not reserve region");
  machine.write(`${DRIVERS}/kmem/unbind`, "dax1.0");
  expect(machine.hotplug.blocks.size).toBe(0);
});

test("memory that is online when the device is unbound stays, with its range, and no driver gets the device again", () => {
  const machine = kmemMachine();
  const { device } = addNamespace(machine);
  toSystemRam(machine);
  machine.write("/sys/devices/system/memory/memory33/state", "online_movable");
  machine.write(`${DRIVERS}/kmem/unbind`, "dax0.0");
  expect(machine.kmem.stuck).toMatchObject([{ start: START }]);
  const bind = (driver: string): string =>
    outcome(() => machine.write(`${DRIVERS}/${driver}/bind`, "dax0.0"));
  expect([bind("kmem"), bind("device_dax")]).toEqual(["EBUSY", "EBUSY"]);
  machine.write("/sys/devices/system/memory/memory33/state", "offline");
  expect([bind("kmem"), bind("device_dax")]).toEqual(["EBUSY", "EBUSY"]);
  expect(device.driver).toBeUndefined();
});

test("one device may be bound, unbound and bound again as long as its memory is offline", () => {
  const machine = kmemMachine();
  const { device } = addNamespace(machine);
  for (let i = 0; i < 3; i++) {
    toSystemRam(machine);
    setState(machine, i === 1 ? "online" : "online_movable");
    setState(machine, "offline");
    toDevdax(machine);
    expect(device.driver?.name).toBe("device_dax");
  }
});

test("memory goes online as it is added where the machine says so", () => {
  const machine = kmemMachine();
  addNamespace(machine);
  machine.write("/sys/devices/system/memory/auto_online_blocks", "online_movable");
  toSystemRam(machine);
  expect(machine.read("/sys/devices/system/memory/memory33/state")).toBe("online\n");
  expect(machine.read("/sys/devices/system/memory/memory33/valid_zones")).toBe("Movable\n");
});

test("known bad memory is cleared before it becomes RAM, and what can't be cleared stays out with its block", () => {
  const bad = [
    { start: physAddr(START + 4096), end: physAddr(START + 8191) },
    { start: physAddr(START + 2 * SECTION), end: physAddr(START + 2 * SECTION + 511) },
  ];
  const poison: MediaPoison = {
    badRanges: (start, size) => bad.filter((range) => range.start < start + size && range.end >= start),
    *clearPoison(start) {
      return start === START + 4096;
    },
    isReadable: () => true,
    machineCheck() {},
  };
  const machine = kmemMachine();
  const { device } = addNamespace(machine, { poison });
  toSystemRam(machine);
  expect(machine.kmem.rangesOf(device).map(({ start, end }) => [start, end + 1])).toEqual([
    [START, START + 2 * SECTION],
    [START + 3 * SECTION, 0x1_4000_0000],
  ]);
  const log = machine.dmesg();
  expect(log).toContain("kmem dax0.0: mapping0: 0x108001000-0x108001fff bad blocks cleared");
  expect(log.some((line) => line.includes("can't be cleared: their memory blocks are left out"))).toBe(true);
  toDevdax(machine);
  expect(device.driver?.name).toBe("device_dax");
  expect(kmemCaveats(device)).toHaveLength(2);
});

test("before 5.3, memory that was added stays when the driver lets go; before 5.8, its name is System RAM", () => {
  const old = kmemMachine({ policy: kmemAddOnly });
  addNamespace(old);
  toSystemRam(old);
  old.write(`${DRIVERS}/kmem/unbind`, "dax0.0");
  expect(old.iomemText()).toContain("    108000000-13fffffff : System RAM\n");
  expect(outcome(() => old.write(`${DRIVERS}/device_dax/bind`, "dax0.0"))).toBe("EBUSY");

  const newer = kmemMachine({ policy: kmemHotremove });
  addNamespace(newer);
  toSystemRam(newer);
  toDevdax(newer);
  expect(newer.iomemText()).toContain("  101200000-13fffffff : dax0.0\n");
});

test("blocks of one device are one group where a ratio of movable to kernel memory is kept", () => {
  const machine = kmemMachine();
  addNamespace(machine);
  toSystemRam(machine);
  const groups = new Set(
    [...machine.hotplug.blocks.values()].filter(({ id }) => id >= 33).map(({ group }) => group),
  );
  expect([...groups]).toMatchObject([{ node: 2, kind: { type: "static", maxPages: (7 * SECTION) / 4096 } }]);
});
