// Cache modes of physical ranges: who asked first decides, mappings that disagree are refused, and DAX is write-back.
import { KernelBug, MiB, pfn } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { isNewMemtypeAllowed, MemoryType } from "../src/index.ts";
import { pagemapMachine, devicePagemap, START } from "@hetmem/test-machines/pagemap-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { SECTION } from "@hetmem/test-machines/ram";

const memtypes = () => pagemapMachine().pagemaps.memtypes;
const range = (at: number, size: number) => ({ start: START + at, size });
const frameAt = (at: number) => pfn((START + at) / 4096);

test("DAX mappings come out write-back, for single and for huge pages, as long as the device is mapped", () => {
  const machine = pagemapMachine();
  const pagemap = devicePagemap({ type: MemoryType.DeviceFsDax });
  expect(machine.pagemaps.memtypes.trackPfnInsert(frameAt(0))).toBe("uncached-minus");
  machine.map(pagemap);
  for (const at of [0, 4096, 2 * MiB, SECTION - 4096])
    expect(machine.pagemaps.memtypes.trackPfnInsert(frameAt(at))).toBe("write-back");
  expect(machine.pagemaps.memtypes.trackPfnInsert(frameAt(SECTION))).toBe("uncached-minus");
  machine.unmap(pagemap);
  expect(machine.pagemaps.memtypes.count).toBe(0);
});

test("memory of a PCI device for its peers isn't cached", () => {
  const machine = pagemapMachine();
  machine.map(devicePagemap({ type: MemoryType.DevicePciP2pdma }));
  expect(machine.pagemaps.memtypes.lookup(frameAt(0))).toBe("uncached-minus");
});

test("RAM is write-back, and what nobody reserved is uncached", () => {
  const it = memtypes();
  expect([it.lookup(pfn(16)), it.lookup(frameAt(0))]).toEqual(["write-back", "uncached-minus"]);
});

test("a range that overlaps a reservation gets its mode", () => {
  const it = memtypes();
  expect(it.reserve(range(0, MiB), "write-combining")).toBe("write-combining");
  expect(it.reserve(range(MiB / 2, MiB), "write-back")).toBe("write-combining");
  expect(it.lookup(frameAt(MiB))).toBe("write-combining");
});

test("a range that overlaps reservations of two modes is EBUSY, and nothing is reserved", () => {
  const it = memtypes();
  it.reserve(range(0, MiB), "write-combining");
  it.reserve(range(2 * MiB, MiB), "write-back");
  expect(outcome(() => it.reserve(range(0, 4 * MiB), "write-back"))).toBe("EBUSY");
  expect(it.count).toBe(2);
});

test("a long reservation is found from its end, behind many short ones", () => {
  const it = memtypes();
  it.reserve(range(0, 64 * MiB), "write-through");
  for (let i = 0; i < 16; i++) it.reserve(range(i * MiB, 4096), "write-through");
  expect(it.lookup(frameAt(63 * MiB))).toBe("write-through");
  expect(it.lookup(frameAt(64 * MiB))).toBe("uncached-minus");
});

test("a reservation is given back with both of its ends, once", () => {
  const it = memtypes();
  it.reserve(range(0, MiB), "write-back");
  it.reserve(range(0, 2 * MiB), "write-back");
  expect(() => it.free(range(0, 3 * MiB))).toThrow(KernelBug);
  it.free(range(0, 2 * MiB));
  it.free(range(0, MiB));
  expect(it.count).toBe(0);
  expect(() => it.free(range(0, MiB))).toThrow(KernelBug);
});

test("a device whose range somebody maps write-through can't be mapped uncached and write-back as well", () => {
  const machine = pagemapMachine();
  machine.pagemaps.memtypes.reserve(range(0, MiB), "write-back");
  const before = machine.fingerprint();
  expect(outcome(() => machine.map(devicePagemap({ type: MemoryType.DevicePciP2pdma })))).toBe("EINVAL");
  expect(machine.fingerprint()).toEqual(before);
});

test("who wants no cache can't do with one, and write-through can't do with write-combining", () => {
  const modes = ["write-back", "write-through", "write-combining", "uncached-minus"] as const;
  const refused = modes.flatMap((wanted) =>
    modes.filter((got) => !isNewMemtypeAllowed(wanted, got)).map((got) => `${wanted}: ${got}`),
  );
  expect(refused).toEqual([
    "write-through: write-back",
    "write-through: write-combining",
    "write-combining: write-back",
    "uncached-minus: write-back",
  ]);
});
