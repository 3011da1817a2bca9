import { getUserPages, pinUserPages, putUserPages, unpinUserPages } from "@hetmem/gup";
import { type Page, run } from "@hetmem/kernel";
import { defaultPagemapPolicies, DevPagemap, MEMORY_TYPES, MemoryType } from "@hetmem/memremap";
import { forkProcess, type Process } from "@hetmem/mm";
import type { FollOptions } from "@hetmem/mm/faultin";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { GFP_HIGHUSER_MOVABLE, ZoneType } from "@hetmem/zone";
import { expect, test } from "vitest";
import type { MigrateVmaSkip } from "../src/index.ts";
import {
  BASE,
  entryAt,
  migrateMachine,
  pageAt,
  read,
  TestDevice,
  write,
} from "@hetmem/test-machines/migrate-machine";
import { createMemory } from "./situations.ts";
import { mmOf, withMmapLock } from "@hetmem/test-machines/vm-machine";

const KINDS = [
  { name: "coherent", type: MemoryType.DeviceCoherent, options: {} },
  { name: "public", type: MemoryType.DevicePublic, options: { policies: defaultPagemapPolicies } },
] as const;

/** A process with pages on a device that the cpu reaches. */
function onDevice(kind: (typeof KINDS)[number], pages: number) {
  const situation = createMemory(pages, { ...kind.options, device: { type: kind.type } });
  const { device, process } = situation;
  for (let i = 0; i < pages; i++) write(process, i, i + 1);
  expect(run(device.migrateTo(mmOf(process), BASE, pages))).toBe(pages);
  return situation;
}

/** Pins the first pages of a process. */
function pin(process: Process, count: number, options: FollOptions): Page[] {
  return run(withMmapLock(mmOf(process), pinUserPages(mmOf(process), BASE, count, options)));
}

for (const kind of KINDS) {
  test(`the cpu reads and writes ${kind.name} memory where it is, without a fault`, () => {
    const { machine, device, process } = onDevice(kind, 2);
    expect(entryAt(process, 0).flags & (Pte.present | Pte.write)).toBe(Pte.present | Pte.write);
    write(process, 1, 8);
    expect([read(process, 0), read(process, 1), device.faults]).toEqual([1, 8, 0]);
    expect(entryAt(process, 0).value).toBe(device.page(0));
    machine.check();
  });

  test(`${kind.name} pages are on no list that reclaim looks at, and the allocator never hands one out`, () => {
    const { machine, process } = onDevice(kind, 2);
    const page = entryAt(process, 0).value as never;
    expect(machine.memmap.test(page, PageFlag.lru)).toBe(false);
    let taken = 0;
    for (;;) {
      const next = machine.memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, 0 as never);
      if (next === 0) break;
      expect(machine.memmap.zoneOf(next)).not.toBe(ZoneType.Device);
      taken++;
    }
    expect(taken).toBeGreaterThan(0);
  });

  test(`${kind.name} pages are shared by a child, and copied when one of them writes`, () => {
    const { machine, process } = onDevice(kind, 2);
    const child = run(forkProcess(process));
    write(child, 0, 77);
    expect([read(process, 0), read(child, 0), read(child, 1)]).toEqual([1, 77, 2]);
    machine.check();
  });

  test(`${kind.name} pages go back to RAM where the driver wants them there, and are freed once`, () => {
    const { machine, device, process } = onDevice(kind, 3);
    expect(run(device.migrateBack(mmOf(process), BASE, 2))).toBe(2);
    expect(run(device.evict())).toBe(1);
    expect([...device.freed.values()]).toEqual([1, 1, 1]);
    expect([read(process, 0), read(process, 1), read(process, 2)]).toEqual([1, 2, 3]);
    machine.check();
  });
}

test("a long pin moves a coherent page to RAM first, and a short one pins it where it is", () => {
  const [coherent] = KINDS;
  const { machine, device, process } = onDevice(coherent, 2);
  const short = pin(process, 1, { write: true });
  expect(short[0]).toBe(device.page(0));
  unpinUserPages(machine.vm, short);
  const long = pin(process, 2, { write: true, longterm: true });
  expect(long.map((page) => machine.memmap.zoneOf(page) === ZoneType.Device)).toEqual([false, false]);
  expect([...device.freed.values()]).toEqual([1, 1]);
  expect([read(process, 0), read(process, 1)]).toEqual([1, 2]);
  unpinUserPages(machine.vm, long);
  machine.check();
});

test("a long pin of a coherent page that somebody holds fails with EBUSY, and pins nothing", () => {
  const [coherent] = KINDS;
  const { machine, process } = onDevice(coherent, 1);
  const held = run(withMmapLock(mmOf(process), getUserPages(mmOf(process), BASE, 1, { write: false })));
  expect(() => pin(process, 1, { write: true, longterm: true })).toThrow(/EBUSY/);
  putUserPages(machine.vm, Int32Array.from(held));
  machine.check();
});

test("a pinned coherent page stays", () => {
  const [coherent] = KINDS;
  const { machine, device, process } = onDevice(coherent, 2);
  const pins = pin(process, 1, { write: true });
  const why: string[] = [];
  machine.kernel.trace
    .define<MigrateVmaSkip>("migrate", "migrate_vma_skip")
    .subscribe(({ event }) => why.push(event.why));
  expect(run(device.migrateBack(mmOf(process), BASE, 2))).toBe(1);
  expect(why).toEqual(["pinned"]);
  expect(entryAt(process, 0).flags & Pte.write).not.toBe(0);
  unpinUserPages(machine.vm, pins);
  machine.check();
});

test("by the rules of 4.14 a long pin keeps a public page where it is", () => {
  const [, publicKind] = KINDS;
  const { machine, device, process } = onDevice(publicKind, 1);
  const pins = pin(process, 1, { write: true, longterm: true });
  expect(pins[0]).toBe(device.page(0));
  unpinUserPages(machine.vm, pins);
});

test("a kernel knows public memory or coherent memory, never both", () => {
  for (const [policies, type] of [
    [defaultPagemapPolicies, MemoryType.DeviceCoherent],
    [undefined, MemoryType.DevicePublic],
  ] as const) {
    const machine = migrateMachine(policies ? { policies } : {});
    expect(() => new TestDevice(machine, { type })).toThrow(/EINVAL/);
    expect(MEMORY_TYPES[type].addressable).toBe(true);
  }
  expect(DevPagemap).toBeDefined();
  expect(pageAt(1)).toBe(BASE + 4096);
});
