// Pages of devices count to the cgroup of the page that they replaced, on no list of anybody's.
import { assertInvariants, run } from "@hetmem/kernel";
import { MemoryType } from "@hetmem/memremap";
import { exitProcess, type Process } from "@hetmem/mm";
import { ZoneType } from "@hetmem/zone";
import { expect, test } from "vitest";
import {
  BASE,
  migrateMachine,
  type MigrateMachine,
  mmOf,
  read,
  TestDevice,
  write,
} from "../../hmm-migrate/test/migrate-machine.ts";
import { memcgInvariants } from "../src/invariants.ts";
import type { MemoryCgroup } from "../src/memory-cgroup.ts";
import { MemoryCgroups } from "../src/memory-cgroups.ts";
import { ownedPages } from "../src/tally.ts";

const PAGES = 8;

class World {
  readonly machine: MigrateMachine;
  readonly memcgs: MemoryCgroups;
  readonly device: TestDevice;
  readonly cgroup: MemoryCgroup;
  readonly process: Process;

  constructor(type: MemoryType = MemoryType.DevicePrivate, pages = PAGES) {
    let memcgs: MemoryCgroups | undefined;
    this.machine = migrateMachine({ charging: (memory) => (memcgs = new MemoryCgroups(memory)).charging });
    if (!memcgs) throw new Error("the machine asked for nobody to charge");
    this.memcgs = memcgs;
    this.device = new TestDevice(this.machine, { type, pages });
    this.cgroup = memcgs.create(memcgs.root, "a");
    this.process = this.machine.spawn(PAGES);
    memcgs.attach(mmOf(this.process), this.cgroup);
  }

  fill(): this {
    for (let i = 0; i < PAGES; i++) write(this.process, i, i + 1);
    return this;
  }

  toDevice(): number {
    return run(this.device.migrateTo(mmOf(this.process), BASE, PAGES));
  }

  /** Pages that the cgroup pays for: of RAM, and of the device. */
  charged(): [ram: number, device: number] {
    assertInvariants(this.memcgs, memcgInvariants);
    const counts: [number, number] = [0, 0];
    for (const page of ownedPages(this.memcgs))
      if (this.memcgs.ofPage(page) === this.cgroup && this.memcgs.owners[page] === this.cgroup.id)
        counts[this.machine.memmap.zoneOf(page) === ZoneType.Device ? 1 : 0]++;
    return counts;
  }
}

for (const [name, type] of [
  ["private", MemoryType.DevicePrivate],
  ["coherent", MemoryType.DeviceCoherent],
] as const) {
  test(`the charge goes to ${name} device memory and back with the page`, () => {
    const world = new World(type).fill();
    const { usage } = world.cgroup.memory;
    expect(world.charged()).toEqual([PAGES, 0]);
    expect(world.toDevice()).toBe(PAGES);
    expect(world.charged()).toEqual([0, PAGES]);
    expect(world.memcgs.stats.allNodes(world.cgroup, "nr_anon_pages")).toBe(PAGES);
    expect(world.memcgs.stats.allNodes(world.cgroup, "nr_inactive_anon")).toBe(0);
    expect(world.cgroup.memory.usage).toBe(usage);
    run(world.device.migrateBack(mmOf(world.process), BASE, PAGES));
    expect(world.charged()).toEqual([PAGES, 0]);
    expect(world.cgroup.memory.usage).toBe(usage);
  });
}

test("a migration that ends half-way charges each page once", () => {
  const world = new World(MemoryType.DevicePrivate, 3).fill();
  expect(world.toDevice()).toBe(3);
  expect(world.charged()).toEqual([PAGES - 3, 3]);
  for (let i = 0; i < PAGES; i++) expect(read(world.process, i)).toBe(i + 1);
  expect(world.charged()).toEqual([PAGES, 0]);
});

test("a hole that is filled on the device is charged", () => {
  const world = new World();
  expect(world.toDevice()).toBe(PAGES);
  expect(world.charged()).toEqual([0, PAGES]);
});

test("freeing pages of a device gives their charge back, though no list ever had them", () => {
  const world = new World().fill();
  world.toDevice();
  run(exitProcess(world.process));
  expect(world.charged()).toEqual([0, 0]);
  world.memcgs.stocks.drainAll(world.cgroup);
  expect(world.cgroup.memory.usage).toBe(0);
});

test("a removed cgroup can be reached from its pages on the device until the last is freed", () => {
  const world = new World().fill();
  const { memcgs, cgroup, process, device } = world;
  world.toDevice();
  memcgs.attach(mmOf(process), memcgs.root);
  memcgs.offline(cgroup);
  expect(world.charged()).toEqual([0, PAGES]);
  expect(cgroup.memory.usage).toBe(PAGES);
  // It comes back to memory as what it was: the removed cgroup's, on lists of its own.
  run(device.migrateBack(mmOf(process), BASE, 1));
  expect(world.charged()).toEqual([1, PAGES - 1]);
  run(exitProcess(process));
  expect([...memcgs.root.children()]).toEqual([]);
  expect(memcgs.root.memory.usage).toBe(0);
});
