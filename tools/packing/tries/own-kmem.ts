// A dax driver of one's own in place of kmem: its memory goes online through daxctl and by hand, and away again.
import assert from "node:assert/strict";
import { type DaxDriver, type DevDax, rangeSize } from "@hetmem/dax";
import { KernelError, nodeId, physAddr, run, type Sleeps } from "@hetmem/kernel";
import { IORESOURCE_SYSTEM_RAM, removeResource, requestRegion, type Resource } from "@hetmem/resource";
import { createMachine, deviceDax, type DaxDriverPart, machineOfYaml, openShell } from "hetmem";

const myKmem: DaxDriverPart = ({ pagemaps: { hotplug } }): DaxDriver => {
  const held = new Map<DevDax, Resource>();
  function* locked(work: () => Sleeps<void>): Sleeps<void> {
    yield* hotplug.locks.lockDeviceHotplug();
    try {
      yield* work();
    } finally {
      hotplug.locks.unlockDeviceHotplug();
    }
  }
  return {
    name: "kmem",
    *probe(device): Sleeps<void> {
      const [range] = device.ranges;
      if (!range || device.targetNode < 0 || device.size % hotplug.blockSize !== 0)
        throw new KernelError("EINVAL", `${device.name} doesn't suit me`);
      const resource = requestRegion(device.bus.iomem, range.start, rangeSize(range), device.name);
      resource.flags = IORESOURCE_SYSTEM_RAM; // not busy: System RAM goes inside
      try {
        yield* locked(() =>
          hotplug.addMemory(nodeId(device.targetNode), range.start, rangeSize(range), {
            name: "System RAM (mine)",
          }),
        );
      } catch (error) {
        removeResource(resource);
        throw error;
      }
      held.set(device, resource);
    },
    *remove(device): Sleeps<void> {
      const resource = held.get(device);
      if (!resource) return;
      held.delete(device);
      try {
        yield* locked(() => hotplug.removeMemory(physAddr(resource.start), device.size));
        removeResource(resource);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        device.printk(3, `stays: ${error.message}`);
      }
    },
  };
};
const yaml = `
nodes: [{ memory: 2G, cpus: 0-3 }, { cpus: [] }]
devices: [{ name: Soft Reserved, start: 8G, size: 1G, node: 1 }]
`;
const shell = openShell(
  createMachine(machineOfYaml(yaml, "own-kmem.yaml", "v6.1"), { daxDrivers: [myKmem, deviceDax] }),
);
const sh = (line: string) => {
  const { status, output } = run(shell.execute(line));
  assert.equal(status, 0, `${line}: ${output}`);
  return output;
};

// Through daxctl, there and back.
assert.match(sh("daxctl reconfigure-device --mode=system-ram dax0.0"), /"online_memblocks":8/);
assert.match(
  sh("cat /proc/iomem"),
  / {4}200000000-23fffffff : dax0.0\n {6}200000000-23fffffff : System RAM \(mine\)/,
);
sh("daxctl offline-memory dax0.0; daxctl reconfigure-device --mode=devdax dax0.0");
assert.doesNotMatch(sh("cat /proc/iomem"), /mine/);
// By hand.
sh("echo dax0.0 > /sys/bus/dax/drivers/device_dax/unbind; echo dax0.0 > /sys/bus/dax/drivers/kmem/new_id");
assert.equal(sh("cat /sys/devices/system/memory/memory64/state"), "offline\n");
sh("echo online_movable > /sys/devices/system/memory/memory64/state");
assert.equal(
  sh("grep MemTotal /sys/devices/system/node/node1/meminfo").replace(/ +/g, " "),
  "Node 1 MemTotal: 131072 kB\n",
);
sh(
  "echo offline > /sys/devices/system/memory/memory64/state; echo dax0.0 > /sys/bus/dax/drivers/kmem/unbind",
);
assert.doesNotMatch(sh("cat /proc/iomem; ls /sys/devices/system/memory"), /mine|memory64/);
console.log("my kmem made RAM of dax0.0 twice, and took it back");
