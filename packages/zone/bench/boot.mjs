// Measures one thing in a fresh process and prints it as JSON: `boot` a machine of 1 TiB, `touch` the struct pages of
// 8 GiB, `online` blocks of 128 MiB. alloc.mjs starts it.
import { createKernel, GiB, MiB, nodeId, physAddr, run, TiB } from "@hetmem/kernel";
import { createIomem, parseIomem } from "@hetmem/resource";
import {
  allZones,
  anyOrderPlacement,
  bootMemory,
  GFP_HIGHUSER_MOVABLE,
  MemoryHotplug,
  offlineBlock,
  onlineBlock,
} from "@hetmem/zone";

const NODE = nodeId(0);

/** @param {number} bytes @param {number} room */
function boot(bytes, room = 0) {
  return bootMemory(createKernel(), {
    nodes: [{ id: NODE, memory: [{ start: physAddr(0), end: physAddr(bytes) }], cpus: [0] }],
    distances: [[10]],
    physicalBits: 46,
    maxPages: (bytes + room) / 4096,
    reserved: [],
  });
}

/** Resident bytes. The first collection hands arrays that were outgrown to a thread that frees them, the second waits for it. */
const resident = () => {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage.rss();
};

const measures = {
  boot() {
    const rss = resident();
    const { user, system } = process.cpuUsage();
    const memory = boot(TiB);
    const after = process.cpuUsage();
    const ms = (after.user - user + after.system - system) / 1000;
    const mib = Math.max(0, resident() - rss) / MiB;
    // Looked at last, so that it was still there when the memory was measured.
    if (memory.nodes[0]?.presentPages !== TiB / 4096) throw new Error("a terabyte is missing");
    return { ms, mib };
  },
  touch() {
    const memory = boot(8 * GiB);
    const rss = resident();
    for (const zone of allZones(memory)) {
      for (const section of zone.deferred.sections()) zone.deferred.touch(zone, section * 32_768);
    }
    const bytes = resident() - rss;
    return { bytesPerPage: bytes / (memory.nodes[0]?.presentPages ?? 0) };
  },
  online() {
    const memory = boot(GiB, 8 * GiB);
    const hotplug = new MemoryHotplug({
      memory,
      iomem: parseIomem("00000000-3fffffff : System RAM\n", createIomem(46)),
      placement: () => anyOrderPlacement,
      blockSize: 128 * MiB,
      addressableEnd: 2 ** 46,
      memmapOnMemory: false,
      autoOnline: "offline",
    });
    run(hotplug.locks.lockDeviceHotplug());
    run(hotplug.addMemory(NODE, physAddr(4 * GiB), 128 * MiB));
    const block = hotplug.block(32);
    const times = [];
    for (let round = 0; round < 60; round++) {
      const start = process.hrtime.bigint();
      run(onlineBlock(hotplug, block, "online_movable"));
      times.push(Number(process.hrtime.bigint() - start) / block.pages);
      run(offlineBlock(hotplug, block));
    }
    return { nsPerPage: times.slice(30).sort((a, b) => a - b)[15] };
  },
  straight() {
    const { allocator, nodes } = boot(2 * GiB);
    for (const zone of nodes[0]?.zones ?? []) zone.pcpDisabled++;
    // One page is held, so that its buddy stays single: nothing is split, nothing merges.
    allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, NODE);
    const times = [];
    for (let round = 0; round < 40; round++) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < 65_536; i++)
        allocator.freePages(allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, NODE), 0);
      times.push(Number(process.hrtime.bigint() - start) / 65_536);
    }
    return { nsPerPage: times.slice(20).sort((a, b) => a - b)[10] };
  },
};

const what = /** @type {keyof typeof measures} */ (process.argv[2]);
console.log(JSON.stringify(measures[what]()));
