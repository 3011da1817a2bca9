// Devices and drivers of the bus, as an administrator pairs them.
import { KernelError, MiB, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { bindAnswersNoDevice, bindAnswersProbe, daxPmemCompatProbe } from "../src/index.ts";
import {
  addHmem,
  addNamespace,
  daxMachine,
  idleDriver,
  NAMESPACE,
  smallNamespace,
} from "@hetmem/test-machines/dax-machine";
import { outcome } from "@hetmem/test-machines/outcome";

const BUS = "/sys/bus/dax";
const DRIVERS = `${BUS}/drivers`;

test("a device that nobody has claimed goes to device_dax", () => {
  const machine = daxMachine();
  const { device } = addNamespace(machine);
  expect(device.driver?.name).toBe("device_dax");
  expect(machine.vfs.list(`${DRIVERS}/device_dax`).map(({ name }) => name)).toContain("dax0.0");
});

test("new_id binds a free device at once, and leaves a bound one where it is", () => {
  const machine = daxMachine();
  const { device } = addNamespace(machine);
  machine.write(`${DRIVERS}/kmem/new_id`, "dax0.0");
  expect(device.driver?.name).toBe("device_dax");
  machine.write(`${DRIVERS}/device_dax/unbind`, "dax0.0");
  expect(device.driver).toBeUndefined();
  machine.write(`${DRIVERS}/kmem/new_id`, "dax0.0");
  expect(device.driver?.name).toBe("kmem");
});

test("an id given beforehand overrides nothing where device_dax was there first", () => {
  const machine = daxMachine();
  machine.write(`${DRIVERS}/kmem/new_id`, "dax0.0");
  expect(addNamespace(machine).device.driver?.name).toBe("device_dax");
});

test("an override driver that is there first gets the device whose name it was given", () => {
  const machine = daxMachine({ drivers: "none" });
  run(machine.bus.registerDriver(idleDriver));
  machine.write(`${DRIVERS}/kmem/new_id`, "dax0.0");
  run(machine.bus.registerDriver(machine.deviceDax));
  expect(addNamespace(machine).device.driver?.name).toBe("kmem");
});

test("a bus has one driver that takes everything", () => {
  const machine = daxMachine();
  const second = { ...idleDriver, name: "another", matchAlways: true };
  expect(() => run(machine.bus.registerDriver(second))).toThrow("device_dax takes every device already");
});

test("bind wants a name that the driver was given, and a device that is free", () => {
  const machine = daxMachine();
  addNamespace(machine);
  const bind = (driver: string): string =>
    outcome(() => machine.write(`${DRIVERS}/${driver}/bind`, "dax0.0"));
  expect(bind("kmem")).toBe("ENODEV");
  expect(bind("device_dax")).toBe("EBUSY");
  machine.write(`${DRIVERS}/device_dax/unbind`, "dax0.0");
  expect(bind("device_dax")).toBe("done");
  expect(outcome(() => machine.write(`${DRIVERS}/device_dax/bind`, "dax7.0"))).toBe("ENODEV");
});

test("before 5.14, bind says that there is no such device, whatever the driver refuses it for", () => {
  const refused = new KernelError("EINVAL", "no node");
  expect(bindAnswersNoDevice.answer(refused)).toMatchObject({ errno: "ENODEV", reason: "no node" });
  expect(bindAnswersProbe.answer(refused)).toBe(refused);
  const machine = daxMachine({ bindPolicy: bindAnswersNoDevice });
  addNamespace(machine);
  expect(outcome(() => machine.write(`${DRIVERS}/device_dax/bind`, "dax0.0"))).toBe("ENODEV");
});

test("unbind is the driver's own: that of another driver has no such device", () => {
  const machine = daxMachine();
  addNamespace(machine);
  expect(outcome(() => machine.write(`${DRIVERS}/kmem/unbind`, "dax0.0"))).toBe("ENODEV");
});

test("names of devices that aren't there may be given and taken back, garbage may not", () => {
  const machine = daxMachine();
  const give = (text: string): string => outcome(() => machine.write(`${DRIVERS}/kmem/new_id`, text));
  expect(["dax9.9", "garbage", "dax1", "dax01.0", "dax0.0 ", ""].map(give)).toEqual([
    "done",
    "EINVAL",
    "EINVAL",
    "EINVAL",
    "EINVAL",
    "EINVAL",
  ]);
  const takeBack = (text: string): string => outcome(() => machine.write(`${DRIVERS}/kmem/remove_id`, text));
  expect(["dax9.9", "dax9.9", "garbage"].map(takeBack)).toEqual(["done", "done", "EINVAL"]);
});

test("with drivers_autoprobe off, devices wait until drivers_probe names them", () => {
  const machine = daxMachine();
  machine.write(`${BUS}/drivers_autoprobe`, "0");
  const { device } = addNamespace(machine);
  expect([device.driver, machine.read(`${BUS}/drivers_autoprobe`)]).toEqual([undefined, "0\n"]);
  machine.write(`${BUS}/drivers_probe`, "dax0.0");
  expect(device.driver?.name).toBe("device_dax");
  expect(outcome(() => machine.write(`${BUS}/drivers_probe`, "dax4.0"))).toBe("ENODEV");
});

test("a driver that goes lets go of its devices, and they are free for the next", () => {
  const machine = daxMachine();
  const { device } = addNamespace(machine);
  run(machine.bus.unregisterDriver(machine.deviceDax));
  expect(device.driver).toBeUndefined();
  run(machine.bus.registerDriver(machine.deviceDax));
  expect(device.driver?.name).toBe("device_dax");
});

test("a range that somebody uses is reserved by no driver, and the log says so", () => {
  const machine = daxMachine();
  const first = addNamespace(machine);
  const { device } = addNamespace(
    machine,
    smallNamespace(2 * MiB, { parent: "/devices/platform/e820_pmem", regionId: 3 }),
  );
  expect([first.device.driver?.name, device.driver]).toEqual(["device_dax", undefined]);
  expect(machine.dmesg().slice(-2)).toEqual([
    "device_dax dax3.0: mapping0: 0x101200000-0x1013fffff could not reserve range",
    "device_dax: probe of dax3.0 failed with error -16",
  ]);
  expect(outcome(() => machine.write(`${DRIVERS}/device_dax/bind`, "dax3.0"))).toBe("EBUSY");
});

test("user space hears of a device that comes, is bound, is unbound and goes", () => {
  const machine = daxMachine();
  const heard: string[] = [];
  machine.kernel.uevents.subscribe(({ action, devpath, env }) => {
    if (devpath === `${NAMESPACE}/dax0.0`) heard.push(`${action} ${env["DRIVER"] ?? "-"} ${env["MODALIAS"]}`);
  });
  run(addNamespace(machine).release());
  expect(heard).toEqual(["add - dax:t0", "bind device_dax dax:t0", "unbind - dax:t0", "remove - dax:t0"]);
});

test("a provider that goes takes its devices along, and leaves nothing", () => {
  const machine = daxMachine();
  const before = machine.iomemText();
  const { release } = addNamespace(machine);
  expect(machine.vfs.exists(`/sys${NAMESPACE}/dax_region/id`)).toBe(true);
  run(release());
  expect(machine.iomemText()).toBe(before);
  expect(machine.vfs.exists(`/sys${NAMESPACE}`)).toBe(false);
  expect([machine.bus.devices.size, machine.bus.regions.size, machine.bus.minors.size]).toEqual([0, 0, 0]);
});

test("with the compatibility driver, a device is in /sys/class/dax and on no bus", () => {
  const machine = daxMachine();
  const { device, release } = run(
    daxPmemCompatProbe(machine.bus, machine.deviceDax, smallNamespace(4 * MiB)),
  );
  expect(machine.vfs.readlink("/sys/class/dax/dax0.0")).toBe(`../..${NAMESPACE}/dax/dax0.0`);
  expect(machine.read("/sys/class/dax/dax0.0/size")).toBe(`${4 * MiB}\n`);
  expect(machine.vfs.readlink("/sys/class/dax/dax0.0/subsystem")).toMatch(/^(?:\.\.\/)+class\/dax$/);
  expect(machine.vfs.list(`${BUS}/devices`)).toEqual([]);
  expect(outcome(() => machine.write(`${DRIVERS}/kmem/new_id`, "dax0.0"))).toBe("done");
  expect([device.driver?.name, device.alive]).toEqual(["device_dax", true]);
  run(release());
  expect(machine.vfs.exists("/sys/class/dax")).toBe(false);
});

test("devices of platform memory and of a namespace have numbers of their own", () => {
  const machine = daxMachine();
  addNamespace(machine);
  addHmem(machine);
  expect(machine.vfs.list("/dev").map(({ name }) => name)).toEqual(["dax0.0", "dax1.0"]);
  expect(machine.vfs.stat("/dev/dax1.0")).toMatchObject({ mode: 0o600, device: { major: 252, minor: 1 } });
  expect(machine.vfs.readlink("/sys/dev/char/252:1")).toBe("../../devices/platform/hmem.1/dax1.0");
});

test.each([
  ["probe", new Error("my own words"), "my own words"],
  ["remove", "a word", "a word"],
] as const)(
  "a %s() that throws what no kernel throws is a bug with its driver and its device",
  (operation, thrown, reason) => {
    const machine = daxMachine();
    const { device } = addNamespace(machine);
    machine.write(`${DRIVERS}/device_dax/unbind`, "dax0.0");
    const driver = {
      ...idleDriver,
      name: "mine",
      *[operation]() {
        throw thrown;
      },
    };
    run(machine.bus.registerDriver(driver));
    const bind = (): void => machine.write(`${DRIVERS}/mine/new_id`, "dax0.0");
    const unbind = (): void => machine.write(`${DRIVERS}/mine/unbind`, "dax0.0");
    if (operation === "remove") bind();
    expect(operation === "probe" ? bind : unbind).toThrow(
      `${operation}() of the dax driver "mine" failed for dax0.0: ${reason}`,
    );
    expect(device.lock.locked).toBe(false);
  },
);
