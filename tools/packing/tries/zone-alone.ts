// @hetmem/zone without a machine: its README's lines, and a listener that refuses to let memory go.
import assert from "node:assert/strict";
import { createKernel, GiB, KernelError, MiB, nodeId, physAddr, run } from "@hetmem/kernel";
import { createIomem, parseIomem } from "@hetmem/resource";
import {
  anyOrderPlacement,
  bootMemory,
  MemoryHotplug,
  offlineBlock,
  onlineBlock,
  validZones,
} from "@hetmem/zone";

const memory = bootMemory(createKernel(), {
  nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(GiB) }], cpus: [0] }],
  distances: [[10]],
  physicalBits: 46,
  maxPages: (2 * GiB) / 4096,
  reserved: [],
});
const iomem = parseIomem("00000000-3fffffff : System RAM\n", createIomem(46));
const hotplug = new MemoryHotplug({
  memory,
  iomem,
  placement: () => anyOrderPlacement,
  blockSize: 128 * MiB,
  addressableEnd: 2 ** 46,
  memmapOnMemory: false,
  autoOnline: "offline",
});
run(hotplug.locks.lockDeviceHotplug());
run(hotplug.addMemory(nodeId(0), physAddr(4 * GiB), 128 * MiB));
const block = hotplug.block(32);
assert.deepEqual(
  validZones(hotplug, block).map(({ name }) => name),
  ["Normal", "Movable"],
);
run(onlineBlock(hotplug, block, "online_movable"));
assert.equal(block.zone?.presentPages, 32768);

const seen: string[] = [];
const unregister = hotplug.notifiers.register(function* (action) {
  seen.push(action);
  if (action === "MEM_GOING_OFFLINE") throw new KernelError("EPERM", "I use it");
});
assert.throws(() => run(offlineBlock(hotplug, block)), { name: "KernelError", errno: "EPERM" });
assert.deepEqual(seen, ["MEM_GOING_OFFLINE", "MEM_CANCEL_OFFLINE"]);
unregister();
run(offlineBlock(hotplug, block));
run(hotplug.removeMemory(physAddr(4 * GiB), 128 * MiB));
hotplug.locks.unlockDeviceHotplug();
assert.equal(hotplug.blocks.has(32), false);
console.log("a listener kept a block online once");
