// Onlining and offlining: who may refuse, what holds a block, and how zones and nodes shrink.
import { GiB, KernelBug, KernelError, MiB, nodeId, type Page, run, type Uevent } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import {
  allZones,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  offlineBlock,
  onlineBlock,
  type ZoneName,
  ZoneType,
} from "../src/index.ts";
import { hotplugMachine, type HotplugMachine, OwnedPages } from "@hetmem/test-machines/hotplug-machine";
import { outcome } from "@hetmem/test-machines/outcome";

const BLOCK = 128 * MiB;
const START = 4 * GiB;

function machineWithBlocks(count: number): HotplugMachine {
  const machine = hotplugMachine();
  for (let i = 0; i < count; i++) machine.add(START + i * BLOCK);
  return machine;
}

/** Min, low and high of a zone of node 0. */
function watermarks({ memory }: HotplugMachine, name: ZoneName): number[] {
  const { min, low, high } = memory.nodes[0]?.zones[ZoneType[name]]?.watermark ?? {};
  return [min ?? 0, low ?? 0, high ?? 0];
}

function managedPages({ memory }: HotplugMachine): number {
  return [...allZones(memory)].reduce((sum, zone) => sum + zone.managedPages, 0);
}

describe("onlining", () => {
  test("gives the block's pages to the allocator, and the zone spans them", () => {
    const machine = machineWithBlocks(1);
    const free = machine.freePages();
    machine.online(32, "online_kernel");
    expect(machine.freePages() - free).toBe(32_768);
    expect(machine.spans()["Normal"]).toEqual([0x100000, 32_768]);
  });

  test("gives the zone its share of min_free_kbytes, which the others have less of", () => {
    const machine = machineWithBlocks(1);
    const [before] = watermarks(machine, "DMA32");
    expect(watermarks(machine, "Movable")).toEqual([0, 0, 0]);
    machine.online(32, "online_movable");
    const [min = 0, low = 0, high = 0] = watermarks(machine, "Movable");
    const share = (32_768 / managedPages(machine)) * (machine.memory.counters.minFreeKbytes / 4);
    expect(min).toBe(Math.floor(share));
    expect(low).toBeGreaterThan(min);
    expect(high).toBeGreaterThan(low);
    expect(watermarks(machine, "DMA32")[0]).toBeLessThan(before ?? 0);
  });

  test("pages of a fresh block are used last, so that it may leave again", () => {
    const machine = machineWithBlocks(2);
    machine.online(32, "online_kernel");
    machine.online(33, "online_kernel");
    const page = machine.memory.allocator.allocPages(GFP_KERNEL, 0, nodeId(0));
    expect(machine.memory.memmap.pageToPfn(page)).toBe(0x100000);
  });

  test("an online block that is onlined again stays as it is", () => {
    const machine = machineWithBlocks(1);
    machine.online(32, "online_movable");
    expect(machine.online(32, "online_kernel")).toBe(false);
    expect(machine.hotplug.block(32).zone?.name).toBe("Movable");
  });

  test("a notifier that refuses keeps the block offline and the zone as it was", () => {
    const machine = machineWithBlocks(1);
    const before = machine.fingerprint();
    const actions: string[] = [];
    const unregister = machine.hotplug.notifiers.register(function* (action) {
      actions.push(action);
      if (action === "MEM_GOING_ONLINE") throw new KernelError("ENOMEM", "no room for page extensions");
    });
    expect(outcome(() => machine.online(32, "online_kernel"))).toBe("ENOMEM");
    expect(actions).toEqual(["MEM_GOING_ONLINE", "MEM_CANCEL_ONLINE"]);
    expect(machine.fingerprint()).toEqual(before);
    unregister();
    expect(machine.online(32, "online_kernel")).toBe(true);
  });

  test("a notifier learns which node gets its first memory", () => {
    const machine = hotplugMachine();
    machine.add(START, { node: nodeId(1) });
    const changes: unknown[] = [];
    machine.hotplug.notifiers.register(function* (action, { statusChangeNode, statusChangeNodeNormal }) {
      changes.push([action, statusChangeNode, statusChangeNodeNormal]);
    });
    machine.online(32, "online_movable");
    expect(changes).toEqual([
      ["MEM_GOING_ONLINE", 1, undefined],
      ["MEM_ONLINE", 1, undefined],
    ]);
  });

  test("without device_hotplug_lock it is a reported bug", () => {
    const machine = machineWithBlocks(1);
    expect(() => run(onlineBlock(machine.hotplug, machine.hotplug.block(32), "online"))).toThrow(KernelBug);
  });

  test("sends one uevent a block", () => {
    const machine = machineWithBlocks(1);
    const events: Uevent[] = [];
    machine.kernel.uevents.subscribe((event) => events.push(event));
    machine.online(32, "online");
    machine.offline(32);
    expect(events.map(({ action, devpath, subsystem }) => [action, devpath, subsystem])).toEqual([
      ["online", "/devices/system/memory/memory32", "memory"],
      ["offline", "/devices/system/memory/memory32", "memory"],
    ]);
  });
});

describe("offlining", () => {
  test("a block with a hole can't go offline: EINVAL", () => {
    const machine = hotplugMachine({ memory: [[0, GiB - 2 * MiB]] });
    expect(outcome(() => machine.offline(7))).toBe("EINVAL");
  });

  test("a block that spans two zones can't go offline: EINVAL", () => {
    expect(outcome(() => hotplugMachine().offline(0))).toBe("EINVAL");
  });

  test("a block that holds a kernel page stays online, and EBUSY names the page", () => {
    const machine = machineWithBlocks(1);
    machine.online(32, "online_kernel");
    machine.holdKernelPageIn(32);
    const before = machine.fingerprint();
    expect(() => machine.offline(32)).toThrow(
      /^EBUSY: memory32 cannot go offline: page 0x10\w+ \(refcount 1/,
    );
    expect(machine.fingerprint()).toEqual(before);
    expect(machine.hotplug.block(32).state).toBe("online");
  });

  test("pages on per-cpu lists do not hold a block", () => {
    const machine = machineWithBlocks(1);
    machine.online(32, "online_kernel");
    const { allocator, memmap } = machine.memory;
    const page = allocator.allocPages(GFP_KERNEL, 0, nodeId(0));
    memmap.putPage(page);
    machine.offline(32);
    expect(machine.hotplug.block(32).state).toBe("offline");
  });

  test("pages whose owner can move them are moved, and keep their contents", () => {
    const machine = machineWithBlocks(1);
    machine.online(32, "online_movable");
    const owner = new OwnedPages(machine);
    owner.allocate(1000, GFP_HIGHUSER_MOVABLE);
    machine.offline(32);
    expect(owner.framesIn(machine.hotplug.block(32))).toBe(0);
    owner.checkContents();
  });

  test("a movable page that is pinned holds the block, and EBUSY says so", () => {
    const machine = machineWithBlocks(1);
    machine.online(32, "online_movable");
    const owner = new OwnedPages(machine);
    owner.allocate(10, GFP_HIGHUSER_MOVABLE);
    owner.pinned.add(3);
    const free = machine.freePages();
    expect(() => machine.offline(32)).toThrow(
      /^EBUSY: memory32 cannot go offline: page 0x\w+ .*stays in use, pinned by slot 3/,
    );
    expect(machine.hotplug.block(32).zone?.isolatedPageblocks).toBe(0);
    expect(machine.freePages()).toBe(free);
    owner.checkContents();
  });

  test("a notifier that refuses keeps the block online", () => {
    const machine = machineWithBlocks(1);
    machine.online(32, "online_movable");
    const before = machine.fingerprint();
    machine.hotplug.notifiers.register(function* (action) {
      if (action === "MEM_GOING_OFFLINE") throw new KernelError("EBUSY", "the driver still uses it");
    });
    expect(outcome(() => machine.offline(32))).toBe("EBUSY");
    expect(machine.fingerprint()).toEqual(before);
  });

  test("the zone shrinks to the blocks that are left, at either end", () => {
    const machine = machineWithBlocks(5);
    for (const id of [32, 33, 35, 36]) machine.online(id, "online_movable");
    machine.offline(32);
    expect(machine.spans()["Movable"]).toEqual([0x108000, 4 * 32_768]);
    machine.offline(36);
    expect(machine.spans()["Movable"]).toEqual([0x108000, 3 * 32_768]);
    machine.offline(33);
    expect(machine.spans()["Movable"]).toEqual([0x118000, 32_768]);
    machine.offline(35);
    expect(machine.spans()["Movable"]).toEqual([0, 0]);
  });

  test("the node shrinks with its zones, at either end", () => {
    const machine = machineWithBlocks(3);
    const node = machine.memory.nodes[0];
    const span = (): (number | undefined)[] => [node?.startPfn, node?.endPfn];
    const [first] = span();
    for (const id of [32, 33, 34]) machine.online(id, "online_movable");
    expect(span()).toEqual([first, 0x118000]);
    machine.offline(34);
    expect(span()).toEqual([first, 0x110000]);
    machine.offline(33);
    machine.offline(32);
    expect(span()).toEqual([first, 0x40000]);
  });

  test("the zone keeps free no more than the share of the blocks that are left", () => {
    const machine = machineWithBlocks(2);
    machine.online(32, "online_movable");
    machine.online(33, "online_movable");
    const [both = 0] = watermarks(machine, "Movable");
    machine.offline(33);
    const share = (32_768 / managedPages(machine)) * (machine.memory.counters.minFreeKbytes / 4);
    expect(watermarks(machine, "Movable")[0]).toBe(Math.floor(share));
    expect(both).toBeGreaterThan(share);
    machine.offline(32);
    expect(watermarks(machine, "Movable")).toEqual([0, 0, 0]);
  });

  test("a hole in the middle does not shrink the zone", () => {
    const machine = machineWithBlocks(3);
    for (const id of [32, 33, 34]) machine.online(id, "online_movable");
    machine.offline(33);
    expect(machine.spans()["Movable"]).toEqual([0x100000, 3 * 32_768]);
    expect(machine.hotplug.block(32).zone?.presentPages).toBe(2 * 32_768);
  });

  test("boot memory that nobody has touched goes offline like any other", () => {
    const machine = hotplugMachine();
    machine.offline(3);
    expect(machine.hotplug.block(3).state).toBe("offline");
    machine.online(3, "online");
    expect(machine.hotplug.block(3).zone?.name).toBe("DMA32");
  });

  test("a page freed while its block is isolated is not handed out again", () => {
    const machine = machineWithBlocks(1);
    machine.online(32, "online_movable");
    const { allocator, memmap } = machine.memory;
    const page = allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, nodeId(0));
    let given: Page | undefined;
    machine.hotplug.migration = {
      isMovable: () => true,
      *migrateRange() {
        memmap.putPage(page);
        given = allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, nodeId(0));
      },
      dissolveFreeHugePages: () => {},
      reason: () => "",
    };
    machine.offline(32);
    expect(machine.hotplug.block(32).state).toBe("offline");
    expect(memmap.pageToPfn(given as Page)).toBeLessThan(0x100000);
  });

  test("without device_hotplug_lock it is a reported bug", () => {
    const machine = hotplugMachine();
    expect(() => run(offlineBlock(machine.hotplug, machine.hotplug.block(3)))).toThrow(KernelBug);
  });
});
