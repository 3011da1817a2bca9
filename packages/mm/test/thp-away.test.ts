// Huge pages whose memory is wanted or bad: their parts move, and what can't move says so.
import { unpinUserPages } from "@hetmem/gup";
import { MiB, nodeId, type Page, run, type VirtAddr } from "@hetmem/kernel";
import { MbindFlag, movePages } from "@hetmem/migrate";
import { event } from "@hetmem/test-machines/counters";
import { read } from "@hetmem/test-machines/files";
import { hotplugVmMachine, refusal } from "@hetmem/test-machines/hotplug-vm-machine";
import { pinUserPages } from "@hetmem/test-machines/locked-calls";
import { at as inRegion, expectSound, mapPages } from "@hetmem/test-machines/mappings";
import { check, fill, pageBehind } from "@hetmem/test-machines/placed-memory";
import { hugeAt, PARTS, smallAt } from "@hetmem/test-machines/thp";
import { mmOf } from "@hetmem/test-machines/vm-machine";
import { ZoneType } from "@hetmem/zone";
import { expect, test } from "vitest";

/** A machine with a movable block, and a process with two huge pages in it. */
function busyBlock() {
  const machine = hotplugVmMachine({
    nodes: [
      { size: 32 * MiB, cpus: [0] },
      { size: 32 * MiB, cpus: [1] },
    ],
    tunables: { transparentHugepage: "always" },
  });
  const id = machine.plug(0);
  const process = machine.spawn("qemu-system-x86");
  const start: VirtAddr = mapPages(process, 0, 2 * PARTS);
  fill(process, start, 2 * PARTS);
  const head = hugeAt(process, start);
  if (head === undefined || !machine.inBlock(id, head)) throw new Error("no huge page in the block");
  return { machine, id, process, start, head };
}

test("a block that holds huge pages goes offline: they are divided, and their parts move", () => {
  const { machine, id, process, start } = busyBlock();
  machine.offline(id);
  expect(machine.hotplug.block(id).state).toBe("offline");
  check(process, start, 2 * PARTS);
  expect([event(machine.vm, "thp_split_page"), event(machine.vm, "thp_migration_split")]).toEqual([2, 2]);
  expectSound(machine.vm);
});

test("a block that holds a pinned huge page stays online, and the huge page huge", () => {
  const { machine, id, process, start, head } = busyBlock();
  const pins = run(pinUserPages(mmOf(process), inRegion(5), 1, { write: true }));
  expect(refusal(machine, id)).toContain("qemu-system-x86");
  expect(hugeAt(process, start)).toBe(head);
  unpinUserPages(machine.vm, pins);
  machine.offline(id);
  check(process, start, 2 * PARTS);
});

test("who pins a part of a huge page for long gets a page that may stay, and the block can go offline", () => {
  const { machine, id, process, start } = busyBlock();
  const pins = run(pinUserPages(mmOf(process), inRegion(7), 1, { write: true, longterm: true }));
  expect(machine.memory.memmap.zoneOf(pins[0] as Page)).not.toBe(ZoneType.Movable);
  expect(pins[0]).toBe(smallAt(process, inRegion(7)));
  machine.offline(id);
  check(process, start, 2 * PARTS);
  unpinUserPages(machine.vm, pins);
  expectSound(machine.vm);
});

test("of a huge page with bad memory only the part is lost", () => {
  const { machine, process, head } = busyBlock();
  run(machine.failure.hardOffline(machine.memory.memmap.pageToPfn((head + 9) as Page)));
  expect(() => read(process, inRegion(9), 1)).toThrow("SIGBUS");
  expect([event(machine.vm, "thp_split_page"), smallAt(process, inRegion(8))]).toEqual([1, head + 8]);
  check(process, inRegion(0), 9);
});

test("a part of a huge page that is about to fail moves, and the rest stays", () => {
  const { machine, process, start, head } = busyBlock();
  run(machine.failure.softOffline(machine.memory.memmap.pageToPfn((head + 9) as Page)));
  expect(smallAt(process, inRegion(9))).not.toBe(head + 9);
  expect(smallAt(process, inRegion(10))).toBe(head + 10);
  check(process, start, 2 * PARTS);
});

test("move_pages() of an address in a huge page moves all of it, in parts", () => {
  const { machine, process, start } = busyBlock();
  expect(run(movePages(process, [inRegion(3)], [nodeId(1)], [], MbindFlag.MOVE))).toBe(0);
  expect(machine.memory.memmap.nodeOf(pageBehind(process, inRegion(500)))).toBe(1);
  check(process, start, 2 * PARTS);
});
