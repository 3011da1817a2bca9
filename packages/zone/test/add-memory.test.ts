// Adding and removing memory: what is refused, and that what is refused leaves nothing behind.
import {
  GiB,
  KernelBug,
  KernelError,
  MiB,
  nodeId,
  type Page,
  type Pfn,
  physAddr,
  physToPfn,
  run,
  type Uevent,
} from "@hetmem/kernel";
import { NO_ZONE, NULL_PAGE, PageFlag, SectionFlag, sectionOfPfn } from "@hetmem/page";
import { formatIomem } from "@hetmem/resource";
import { expect, test } from "vitest";
import { GFP_KERNEL, resizeZoneRange, strictPlacement, type Zone, ZoneType } from "../src/index.ts";
import { addHotplugMachineMemory, hotplugMachine } from "@hetmem/test-machines/hotplug-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { underLock } from "@hetmem/test-machines/ram";

const BLOCK = 128 * MiB;
const START = 4 * GiB;

test("added memory has struct pages that are reserved and belong to no zone", () => {
  const machine = hotplugMachine();
  machine.add(START);
  const { memmap } = machine.memory;
  const page = memmap.pfnToPage(machine.hotplug.block(32).start);
  expect(memmap.zoneOf(page)).toBe(NO_ZONE);
  expect(memmap.test(page, PageFlag.reserved)).toBe(true);
  expect(memmap.sections.has(sectionOfPfn(machine.hotplug.block(32).start), SectionFlag.online)).toBe(false);
  expect(machine.spans()["Normal"]).toEqual([0, 0]);
});

test("an added range is System RAM in the iomem tree", () => {
  const machine = hotplugMachine();
  machine.add(START);
  expect(formatIomem(machine.iomem, { privileged: true })).toContain("100000000-107ffffff : System RAM\n");
});

test("adding a block that is there already is EEXIST", () => {
  const machine = hotplugMachine();
  machine.add(START);
  expect(outcome(() => machine.add(START))).toBe("EEXIST");
});

test("adding memory over RAM of the firmware map is EEXIST", () => {
  expect(outcome(() => hotplugMachine().add(0))).toBe("EEXIST");
});

test("adding a range that doesn't start on a block is EINVAL", () => {
  expect(outcome(() => hotplugMachine().add(START + 2 * MiB))).toBe("EINVAL");
});

test("what the log says of memory that is refused", () => {
  const machine = hotplugMachine();
  const said = (): string =>
    machine.kernel.log
      .format()
      .split("\n")
      .at(-2)
      ?.replace(/^\[.*?\] /, "") ?? "";
  outcome(() => machine.add(START + MiB));
  expect(said()).toBe("Block size [0x8000000] unaligned hotplug range: start 0x100100000, size 0x8000000");
  const end = machine.hotplug.blockSize * 1000;
  expect(machine.hotplug.range.isAllowed(physAddr(2 ** 50), end)).toBe(false);
  expect(said()).toMatch(
    /^Hotplug memory \[0x4000000000000-0x4[0-9a-f]+\] exceeds maximum addressable range \[0-0x[0-9a-f]+f\]$/,
  );
});

test("adding half a block is EINVAL", () => {
  expect(outcome(() => hotplugMachine().add(START, { size: BLOCK / 2 }))).toBe("EINVAL");
});

test("adding memory past what the direct map reaches is E2BIG", () => {
  const machine = hotplugMachine({ addressableEnd: 64 * GiB });
  expect(outcome(() => machine.add(64 * GiB))).toBe("E2BIG");
});

test("adding memory past the last physical address is EEXIST, as the root of the tree is in the way", () => {
  const machine = hotplugMachine({ physicalBits: 40 });
  expect(outcome(() => machine.add(2 ** 40))).toBe("EEXIST");
});

test("adding memory to a node that isn't possible is EINVAL", () => {
  expect(outcome(() => hotplugMachine().add(START, { node: nodeId(5) }))).toBe("EINVAL");
});

test("adding memory without device_hotplug_lock is a reported bug", () => {
  const { hotplug } = hotplugMachine();
  expect(() => run(hotplug.addMemory(nodeId(0), physAddr(START), BLOCK))).toThrow(KernelBug);
});

test("struct pages of added memory are taken from the node: 2 MiB for a block of 128 MiB", () => {
  const machine = hotplugMachine();
  const free = machine.freePages();
  machine.add(START);
  expect(free - machine.freePages()).toBe(512);
  machine.remove(START);
  expect(machine.freePages()).toBe(free);
});

test("memory that is removed takes its contents along, those of pages that failed too", () => {
  const machine = hotplugMachine();
  const { memmap } = machine.memory;
  machine.add(START);
  const page = memmap.pfnToPage(machine.hotplug.block(32).start);
  memmap.contents.write(page, 0, Uint8Array.of(42));
  machine.remove(START);
  machine.add(START + BLOCK);
  expect(memmap.pfnToPage(machine.hotplug.block(33).start)).toBe(page);
  expect(memmap.contents.bytes(page)).toBeUndefined();
});

test("whatever allocation fails while memory is added, the machine is as it was", () => {
  for (let space = 0; ; space++) {
    const machine = hotplugMachine();
    const before = machine.fingerprint();
    const points = ["fail_page_alloc", "memory_block_register"].map((name) =>
      machine.kernel.faults.point(name),
    );
    for (const point of points) point.arm({ probability: 100, times: 1, space });
    const ending = outcome(() => machine.add(START, { size: 2 * BLOCK }));
    const failures = points.reduce((sum, point) => sum + point.failures, 0);
    for (const point of points) point.disarm();
    if (failures === 0) {
      expect(ending).toBe("done");
      expect(space).toBe(2); // two sections of struct pages, two blocks
      return;
    }
    if (ending === "done") continue; // a huge page was refused, and single pages served
    expect(ending).toBe("ENOMEM");
    expect(machine.fingerprint()).toEqual(before);
  }
});

test("each block announces itself with a uevent when it is added and when it is removed", () => {
  const machine = hotplugMachine();
  const events: Uevent[] = [];
  machine.kernel.uevents.subscribe((event) => events.push(event));
  machine.add(START, { size: 2 * BLOCK });
  machine.remove(START, 2 * BLOCK);
  expect(events.map(({ action, devpath }) => `${action} ${devpath}`)).toEqual([
    "add /devices/system/memory/memory32",
    "add /devices/system/memory/memory33",
    "remove /devices/system/memory/memory32",
    "remove /devices/system/memory/memory33",
  ]);
});

test("a node appears behind its blocks, and an add that fails leaves no trace of it", () => {
  const machine = hotplugMachine();
  const events: string[] = [];
  machine.kernel.uevents.subscribe(({ action, devpath }) =>
    events.push(`${action} ${devpath.split("/").at(-1)}`),
  );
  machine.kernel.faults.point("memory_block_register").arm({ probability: 100, times: 1, space: 1 });
  expect(outcome(() => machine.add(START, { node: nodeId(1), size: 2 * BLOCK }))).toBe("ENOMEM");
  expect(events).toEqual(["add memory32", "remove memory32"]);
  expect(machine.memory.nodes[1]?.online).toBe(false);
  machine.add(START, { node: nodeId(1) });
  expect(events.slice(2)).toEqual(["add memory32", "add node1"]);
});

test("a node with cpus stays when its last memory goes", () => {
  const machine = hotplugMachine({ memory: [[0, GiB]] });
  machine.add(START);
  machine.remove(START);
  expect(machine.memory.nodes[0]?.online).toBe(true);
  const lone = machine.memory.nodes[0];
  if (lone) Object.assign(lone, { spannedPages: 0 });
  machine.hotplug.blocks.clear();
  machine.hotplug.tryOfflineNode(nodeId(0));
  expect(lone?.online).toBe(true);
});

test("a node without cpus comes online with its first memory and goes with its last block", () => {
  const machine = hotplugMachine();
  const node = machine.memory.nodes[1];
  expect(node?.online).toBe(false);
  machine.add(START, { node: nodeId(1), size: 2 * BLOCK });
  expect(node?.online).toBe(true);
  machine.remove(START);
  expect(node?.online).toBe(true);
  machine.remove(START + BLOCK);
  expect(node?.online).toBe(false);
});

test("memory with an online block can't be removed: EBUSY", () => {
  const machine = hotplugMachine();
  machine.add(START, { size: 2 * BLOCK });
  machine.online(33, "online_movable");
  expect(outcome(() => machine.remove(START, 2 * BLOCK))).toBe("EBUSY");
  expect([...machine.hotplug.blocks.keys()]).toContain(32);
});

test("what was added and removed leaves the machine exactly as it was", () => {
  const machine = hotplugMachine();
  const before = machine.fingerprint();
  machine.add(START, { size: 4 * BLOCK });
  machine.online(32, "online_kernel");
  machine.online(34, "online_movable");
  machine.offline(34);
  machine.offline(32);
  machine.remove(START, 4 * BLOCK);
  expect(machine.fingerprint()).toEqual(before);
});

test("blocks go online as they are added when auto_online_blocks says so", () => {
  const machine = hotplugMachine();
  machine.hotplug.autoOnline = "online_movable";
  machine.add(START, { size: 2 * BLOCK });
  expect([32, 33].map((id) => machine.hotplug.block(id).zone?.name)).toEqual(["Movable", "Movable"]);
});

test("blocks that were to go online do so even where auto_online_blocks is turned off under way", () => {
  const machine = hotplugMachine({ placement: () => strictPlacement });
  machine.hotplug.autoOnline = "online_movable";
  machine.hotplug.notifiers.register(function* () {
    machine.hotplug.autoOnline = "offline";
  });
  machine.add(START, { size: 2 * BLOCK });
  expect([32, 33].map((id) => machine.hotplug.block(id).zone?.name)).toEqual(["Movable", "Movable"]);
});

test("offline_and_remove_memory puts blocks back online when one of them can't go", () => {
  const machine = hotplugMachine();
  machine.add(START, { size: 2 * BLOCK });
  machine.online(32, "online_movable");
  machine.online(33, "online_kernel");
  machine.holdKernelPageIn(33);
  expect(outcome(() => run(machine.hotplug.offlineAndRemoveMemory(physAddr(START), 2 * BLOCK)))).toBe(
    "EBUSY",
  );
  expect([32, 33].map((id) => machine.hotplug.block(id).zone?.name)).toEqual(["Movable", "Normal"]);
});

test("offline_and_remove_memory tells what first went wrong, even where a block can't come back", () => {
  const machine = hotplugMachine();
  machine.add(START, { size: 2 * BLOCK });
  machine.online(32, "online_movable");
  machine.online(33, "online_kernel");
  machine.holdKernelPageIn(33);
  machine.hotplug.notifiers.register(function* (action) {
    if (action === "MEM_GOING_ONLINE") throw new KernelError("ENOMEM", "no room");
  });
  expect(outcome(() => run(machine.hotplug.offlineAndRemoveMemory(physAddr(START), 2 * BLOCK)))).toBe(
    "EBUSY",
  );
  expect(machine.kernel.log.format()).toContain("Failed to re-online memory: -12");
});

test("the first block that can't go online as it is added ends the onlining, and the memory stays", () => {
  const machine = hotplugMachine();
  machine.hotplug.autoOnline = "online_movable";
  machine.hotplug.notifiers.register(function* (action, { start }) {
    if (action === "MEM_GOING_ONLINE" && start === 0x100000) throw new KernelError("ENOMEM", "no room");
  });
  machine.add(START, { size: 2 * BLOCK });
  expect([32, 33].map((id) => machine.hotplug.block(id).state)).toEqual(["offline", "offline"]);
});

test("with memmap_on_memory the struct pages live in the block, and cost the node nothing", () => {
  const machine = hotplugMachine({ memmapOnMemory: true });
  const free = machine.freePages();
  machine.add(START);
  expect(machine.freePages()).toBe(free);
  const { start } = machine.hotplug.block(32);
  expect(machine.hotplug.vmemmap.framesByNode(start, (start + 32_768) as Pfn).size).toBe(0);
  machine.online(32, "online_movable");
  const zone = machine.hotplug.block(32).zone;
  expect([zone?.presentPages, zone?.managedPages]).toEqual([32_768, 32_768 - 512]);
  machine.offline(32);
  expect(zone?.presentPages).toBe(0);
  expect(machine.spans()["Movable"]).toEqual([0, 0]);
});

test("with memmap_on_memory a refused onlining unties the struct pages from their zone, too", () => {
  const machine = hotplugMachine({ memmapOnMemory: true });
  machine.add(START);
  const before = machine.fingerprint();
  machine.hotplug.notifiers.register(function* (action) {
    if (action === "MEM_GOING_ONLINE") throw new KernelError("ENOMEM", "no room");
  });
  expect(outcome(() => machine.online(32, "online_movable"))).toBe("ENOMEM");
  expect(machine.fingerprint()).toEqual(before);
});

test("memory added in one go for two blocks keeps its struct pages in the node even with memmap_on_memory", () => {
  const machine = hotplugMachine({ memmapOnMemory: true });
  const free = machine.freePages();
  machine.add(START, { size: 2 * BLOCK });
  expect(free - machine.freePages()).toBe(1024);
});

test("the frames that struct pages of a range fill are known by their node, and none of other ranges' counts", () => {
  const { hotplug, add } = hotplugMachine();
  add(START);
  add(START + BLOCK);
  const pfn = (address: number): Pfn => physToPfn(physAddr(address));
  const first = hotplug.vmemmap.framesByNode(pfn(START), pfn(START + BLOCK));
  expect([...first]).toEqual([[nodeId(0), 512]]);
  expect([...hotplug.vmemmap.framesByNode(pfn(START), pfn(START + 2 * BLOCK))]).toEqual([[nodeId(0), 1024]]);
  expect(hotplug.vmemmap.framesByNode(pfn(START + 2 * BLOCK), pfn(START + 3 * BLOCK)).size).toBe(0);
});

test("struct pages that are refused because others are there leave those others' memory alone", () => {
  const machine = hotplugMachine();
  const free = machine.freePages();
  run(addHotplugMachineMemory(machine, START, BLOCK));
  const before = machine.fingerprint();
  expect(outcome(() => machine.add(START))).toBe("EEXIST");
  expect(machine.fingerprint()).toEqual(before);
  expect(free - machine.freePages()).toBe(512);
});

test("memory whose struct pages find no room is ENOMEM and has none, and is added once there is room", () => {
  const machine = hotplugMachine();
  const { allocator, memmap } = machine.memory;
  const before = machine.fingerprint();
  const taken: [Page, number][] = [];
  for (const order of [9, 0]) {
    const block = (): Page => allocator.allocPages(GFP_KERNEL, order, nodeId(0));
    for (let page = block(); page !== NULL_PAGE; page = block()) taken.push([page, order]);
  }
  expect(outcome(() => machine.add(START))).toBe("ENOMEM");
  expect(memmap.pfnValid(physToPfn(physAddr(START)))).toBe(false);
  for (const [page, order] of taken) allocator.freePages(page, order);
  expect(machine.fingerprint()).toEqual(before);
  machine.add(START);
  expect(memmap.pfnValid(physToPfn(physAddr(START)))).toBe(true);
});

test("memory that the kernel doesn't map may lie past what the direct map reaches", () => {
  const machine = hotplugMachine({ addressableEnd: 64 * GiB });
  const { locks } = machine.hotplug;
  const add = (how: "addPages" | "archAddMemory") =>
    run(
      underLock(machine.hotplug, function* () {
        yield* locks.memHotplugBegin();
        try {
          const params = { altmap: undefined, memoryBlocks: false };
          yield* machine.hotplug[how](nodeId(0), physAddr(64 * GiB), BLOCK, params);
        } finally {
          locks.memHotplugDone();
        }
      }),
    );
  expect(outcome(() => add("archAddMemory"))).toBe("E2BIG");
  expect(outcome(() => add("addPages"))).toBe("done");
  expect(machine.hotplug.range.isAllowed(physAddr(64 * GiB - BLOCK), BLOCK)).toBe(true);
});

test("a zone can span memory whose struct pages somebody else initialises", () => {
  const machine = hotplugMachine();
  run(addHotplugMachineMemory(machine, START, BLOCK));
  const { memory } = machine;
  const frame = physToPfn(physAddr(START));
  resizeZoneRange(memory, memory.nodes[0]?.zones[ZoneType.Device] as Zone, frame, 32_768);
  expect(machine.spans()["Device"]).toEqual([frame, 32_768]);
  expect(memory.memmap.initialised(memory.memmap.pfnToPage(frame))).toBe(false);
});

test("ZONE_DEVICE memory gets struct pages and no memory blocks", () => {
  const machine = hotplugMachine();
  const { hotplug } = machine;
  run(addHotplugMachineMemory(machine, START, BLOCK));
  expect(machine.memory.memmap.pfnValid((START / 4096) as never)).toBe(true);
  expect(hotplug.blocks.has(32)).toBe(false);
});
