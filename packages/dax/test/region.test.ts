// Dynamic regions: an administrator divides them into devices.
import { GiB, MiB, physAddr, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { allocDaxRegion, createDevDax, unregisterDaxRegion } from "../src/index.ts";
import { addHmem, addNamespace, daxMachine, type DaxMachine } from "@hetmem/test-machines/dax-machine";
import { outcome } from "@hetmem/test-machines/outcome";

const REGION = "/sys/devices/platform/hmem.1/dax_region";
const DEVICE = "/sys/devices/platform/hmem.1/dax1.0";
const START = 0x1_4000_0000;

function idleRegion(size = 16 * MiB): DaxMachine {
  const machine = daxMachine();
  addHmem(machine, { idle: true, size });
  return machine;
}

function write(machine: DaxMachine, path: string, text: string): string {
  return outcome(() => machine.write(path, text));
}

test("a region over the whole of its memory has one device, and nothing is left", () => {
  const machine = daxMachine();
  addHmem(machine);
  expect(machine.read(`${REGION}/available_size`)).toBe("0\n");
  expect(machine.read(`${DEVICE}/size`)).toBe(`${16 * MiB}\n`);
  expect(write(machine, `${REGION}/create`, "1")).toBe("ENOSPC");
});

test("a device without memory has no driver until it gets a size", () => {
  const machine = idleRegion();
  expect(machine.vfs.exists(`${DEVICE}/driver`)).toBe(false);
  expect(write(machine, "/sys/bus/dax/drivers/device_dax/bind", "dax1.0")).toBe("ENXIO");
  machine.write(`${DEVICE}/size`, `${4 * MiB}`);
  machine.write("/sys/bus/dax/drivers/device_dax/bind", "dax1.0");
  expect(machine.read(`${DEVICE}/mapping0/end`)).toBe(`0x${(START + 4 * MiB - 1).toString(16)}\n`);
  expect(machine.read(`${REGION}/available_size`)).toBe(`${12 * MiB}\n`);
});

test("a size that isn't a multiple of the alignment, too large, or of a bound device is refused", () => {
  const machine = idleRegion();
  const size = (text: string): string => write(machine, `${DEVICE}/size`, text);
  expect([`${MiB}`, "64M", `${32 * MiB}`, `${8 * MiB}`].map(size)).toEqual([
    "EINVAL",
    "EINVAL",
    "ENOSPC",
    "done",
  ]);
  machine.write("/sys/bus/dax/drivers/device_dax/bind", "dax1.0");
  expect([size("0"), write(machine, `${DEVICE}/align`, "4096")]).toEqual(["EBUSY", "EBUSY"]);
});

test("the seed is the first device that was created and never bound, and create names the youngest", () => {
  const machine = idleRegion();
  for (let i = 0; i < 2; i++) machine.write(`${REGION}/create`, "1");
  expect(machine.read(`${REGION}/seed`)).toBe("dax1.1\n");
  expect(machine.read(`${REGION}/create`)).toBe("dax1.2\n");
  machine.write("/sys/devices/platform/hmem.1/dax1.1/size", `${2 * MiB}`);
  machine.write("/sys/bus/dax/drivers/device_dax/bind", "dax1.1");
  expect(machine.read(`${REGION}/seed`)).toBe("\n");
  expect(["0", "2", "x", "5000000000"].map((text) => write(machine, `${REGION}/create`, text))).toEqual([
    "EINVAL",
    "EINVAL",
    "EINVAL",
    "ERANGE",
  ]);
});

test("delete wants a device that is free, has no memory and is not the first", () => {
  const machine = idleRegion();
  machine.write(`${REGION}/create`, "1");
  const second = "/sys/devices/platform/hmem.1/dax1.1";
  machine.write(`${second}/size`, `${2 * MiB}`);
  const remove = (name: string): string => write(machine, `${REGION}/delete`, name);
  expect([remove("dax1.0"), remove("dax1.1"), remove("dax1.7")]).toEqual(["EBUSY", "EBUSY", "ENXIO"]);
  machine.write(`${second}/size`, "0");
  expect(remove("dax1.1")).toBe("done");
  expect([machine.vfs.exists(second), machine.read(`${REGION}/create`)]).toEqual([false, "\n"]);
  machine.write(`${REGION}/create`, "1");
  expect(machine.vfs.exists(second)).toBe(true);
});

test("a device that grows around another one gets a second range, and gives back the last first", () => {
  const machine = idleRegion();
  machine.write(`${REGION}/create`, "1");
  const second = "/sys/devices/platform/hmem.1/dax1.1";
  machine.write(`${DEVICE}/size`, `${4 * MiB}`);
  machine.write(`${second}/size`, `${4 * MiB}`);
  machine.write(`${DEVICE}/size`, `${12 * MiB}`);
  const ranges = (): string[] =>
    machine.vfs
      .glob(`${DEVICE}/mapping?`)
      .map((path) =>
        ["page_offset", "start", "end"].map((file) => machine.read(`${path}/${file}`).trim()).join(" "),
      );
  expect(ranges()).toEqual(["0x0 0x140000000 0x1403fffff", "0x400 0x140800000 0x140ffffff"]);
  machine.write(`${DEVICE}/size`, `${6 * MiB}`);
  expect(ranges()).toEqual(["0x0 0x140000000 0x1403fffff", "0x400 0x140800000 0x1409fffff"]);
  machine.write(`${DEVICE}/size`, `${2 * MiB}`);
  expect(ranges()).toEqual(["0x0 0x140000000 0x1401fffff"]);
});

test("mapping adds the range that it names", () => {
  const machine = idleRegion();
  const mapping = (text: string): string => write(machine, `${DEVICE}/mapping`, text);
  expect([
    mapping("140400000-1405fffff"),
    mapping("140400000-1405fffff"),
    mapping("140600000-1406fffff"),
    mapping("x"),
    mapping("0x140000000-0x1401fffff"),
  ]).toEqual(["done", "ENOMEM", "ENXIO", "EINVAL", "done"]);
  expect(machine.read(`${DEVICE}/resource`)).toBe("0x140400000\n");
  expect(machine.read(`${DEVICE}/mapping1/page_offset`)).toBe("0x200\n");
});

test("an alignment is one of the cpu's that all ranges have", () => {
  const machine = idleRegion();
  machine.write(`${DEVICE}/size`, `${4 * MiB}`);
  const align = (text: string): string => write(machine, `${DEVICE}/align`, text);
  expect([align("4096"), align("8192"), align("x"), align(`${GiB}`), align("2M")]).toEqual([
    "done",
    "EINVAL",
    "ENXIO",
    "EINVAL",
    "ENXIO",
  ]);
  expect(machine.read(`${DEVICE}/align`)).toBe("4096\n");
});

test("a region off its alignment is refused, and a provider has one region", () => {
  const { bus } = daxMachine();
  const parent = { devpath: "devices/platform/hmem.4", numaNode: -1 };
  const options = { id: 4, size: 4 * MiB, targetNode: -1, align: 2 * MiB, kind: "dynamic" } as const;
  expect(outcome(() => allocDaxRegion(bus, parent, { ...options, start: physAddr(START + MiB) }))).toBe(
    "ENOMEM",
  );
  const region = allocDaxRegion(bus, parent, { ...options, start: physAddr(START) });
  expect(() => allocDaxRegion(bus, parent, { ...options, start: physAddr(START) })).toThrow(
    "provides dax_region 4 already",
  );
  expect(() => run(createDevDax(region, { size: 0, id: 1 }))).toThrow("the bus numbers its devices");
  run(unregisterDaxRegion(region));
});

test("a device of a region whose node nobody knows has no target_node", () => {
  const machine = daxMachine();
  addHmem(machine, { targetNode: -1 });
  addNamespace(machine);
  expect(machine.vfs.exists(`${DEVICE}/target_node`)).toBe(false);
  expect(machine.read("/sys/bus/dax/devices/dax0.0/target_node")).toBe("2\n");
});
