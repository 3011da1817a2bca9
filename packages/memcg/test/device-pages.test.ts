// Pages of devices count to the cgroup of the page that they replaced, on no list of anybody's.
import { assertInvariants, run } from "@hetmem/kernel";
import { defaultPagemapPolicies, MemoryType } from "@hetmem/memremap";
import { exitProcess, type Process } from "@hetmem/mm";
import { ZoneType } from "@hetmem/zone";
import { expect, test } from "vitest";
import {
  BASE,
  migrateMachine,
  type MigrateMachine,
  pageAt,
  read,
  TestDevice,
  write,
} from "@hetmem/test-machines/migrate-machine";
import { memcgInvariants } from "../src/invariants.ts";
import { Limits } from "../src/limits/limits.ts";
import type { MemoryCgroup } from "../src/memory-cgroup.ts";
import { MemoryCgroups } from "../src/memory-cgroups.ts";
import { ownedPages } from "../src/tally.ts";
import { mmOf } from "@hetmem/test-machines/vm-machine";

const PAGES = 8;
const KINDS = [
  { name: "private", type: MemoryType.DevicePrivate },
  { name: "coherent", type: MemoryType.DeviceCoherent },
  { name: "public", type: MemoryType.DevicePublic },
] as const;

class World {
  readonly machine: MigrateMachine;
  readonly memcgs: MemoryCgroups;
  readonly device: TestDevice;
  /** Has `cgroup` below it. */
  readonly above: MemoryCgroup;
  readonly cgroup: MemoryCgroup;
  readonly process: Process;

  constructor(type: MemoryType = MemoryType.DevicePrivate, pages = PAGES) {
    let memcgs: MemoryCgroups | undefined;
    this.machine = migrateMachine({
      charging: (memory) => (memcgs = new MemoryCgroups(memory)).charging,
      ...(type === MemoryType.DevicePublic && { policies: defaultPagemapPolicies }),
    });
    if (!memcgs) throw new Error("the machine asked for nobody to charge");
    this.memcgs = memcgs;
    this.device = new TestDevice(this.machine, { type, pages });
    this.above = memcgs.create(memcgs.root, "above");
    this.cgroup = memcgs.create(this.above, "a");
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

  /** Pages that a cgroup pays for itself: of RAM, and of the device. */
  charged({ id }: MemoryCgroup = this.cgroup): [ram: number, device: number] {
    assertInvariants(this.memcgs, memcgInvariants);
    const counts: [number, number] = [0, 0];
    for (const page of ownedPages(this.memcgs))
      if (this.memcgs.owners[page] === id)
        counts[this.machine.memmap.zoneOf(page) === ZoneType.Device ? 1 : 0]++;
    return counts;
  }
}

for (const { name, type } of KINDS) {
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

for (const { name, type } of KINDS) {
  test(`pages in ${name} memory of a removed cgroup are its parent's, and keep nothing of it`, () => {
    const world = new World(type).fill();
    const { memcgs, cgroup, above, process, device } = world;
    world.toDevice();
    const below = above.memory.usage;
    memcgs.attach(mmOf(process), memcgs.root);
    memcgs.offline(cgroup);
    expect([...above.children()]).toEqual([]);
    expect(cgroup.memory.usage).toBe(0);
    expect(world.charged(above)).toEqual([0, PAGES]);
    expect(memcgs.stats.allNodes(above, "nr_anon_pages")).toBe(PAGES);
    expect(above.memory.usage).toBeLessThanOrEqual(below);
    // It comes back to memory as the parent's, whose lists it goes on.
    run(device.migrateBack(mmOf(process), BASE, 1));
    expect(world.charged(above)).toEqual([1, PAGES - 1]);
    memcgs.offline(above);
    // The page of RAM stays a removed cgroup's as in the kernel; the root doesn't count what is its own.
    expect(world.charged(above)).toEqual([1, 0]);
    expect(world.charged(memcgs.root)[1]).toBe(PAGES - 1);
    expect(memcgs.root.memory.usage).toBe(1 + memcgs.root.kmem.usage);
    run(exitProcess(process));
    expect([...memcgs.root.children()]).toEqual([]);
    expect(memcgs.root.memory.usage).toBe(0);
  });
}

test("a page of RAM that a removed cgroup pays for is its parent's once it is on the device", () => {
  const world = new World().fill();
  const { memcgs, cgroup, above, process } = world;
  memcgs.attach(mmOf(process), memcgs.root);
  memcgs.offline(cgroup);
  expect(world.charged()).toEqual([PAGES, 0]);
  expect(world.toDevice()).toBe(PAGES);
  expect(world.charged(above)).toEqual([0, PAGES]);
  expect([...above.children()]).toEqual([]);
});

test("a hole that is filled on the device for a cgroup that was removed while it waited is its parent's", () => {
  const world = new World();
  const { memcgs, cgroup, above, process, device } = world;
  const limits = new Limits(memcgs);
  // The page table is there already.
  write(process, 0, 1);
  memcgs.stocks.drainAll(memcgs.root);
  // Somebody has to wait for the limit; the cgroup goes meanwhile, and then there is room.
  cgroup.memory.max = cgroup.memory.usage;
  let waited = false;
  limits.overMax = function* () {
    waited = true;
    memcgs.attach(mmOf(process), memcgs.root);
    if (cgroup.online) memcgs.offline(cgroup);
    cgroup.memory.max = 100;
    return "retry";
  };
  expect(run(device.migrateTo(mmOf(process), pageAt(1), 1))).toBe(1);
  expect(waited).toBe(true);
  expect(world.charged(above)).toEqual([0, 1]);
});
