// Memory cgroups with the smallest client there is: a driver that hands out buffers and charges each to a cgroup, as gpu and
// network drivers do with __GFP_ACCOUNT. There is no mm: no process, no fault, no LRU list. The driver keeps buffers that
// were given back, and at a limit it frees them: what is done at a limit is a port of memcg, which the driver implements.
import {
  assertInvariants,
  createKernel,
  formatBytes,
  GiB,
  KernelError,
  MiB,
  nodeId,
  type Page,
  PAGE_SIZE,
  physAddr,
  run,
  type Sleeps,
} from "@hetmem/kernel";
import {
  chargeKernel,
  type KernelObject,
  memcgInvariants,
  type MemoryCgroup,
  MemoryCgroups,
  noRemedy,
  type OverLimit,
  type RefusedCharge,
  unchargeKernel,
} from "@hetmem/memcg";
import { NULL_PAGE } from "@hetmem/page";
import { bootMemory, GFP_KERNEL_ACCOUNT, type Memory } from "@hetmem/zone";

/** Buffers of 64 KiB: blocks of 2^4 pages. */
const ORDER = 4;
const BYTES = PAGE_SIZE << ORDER;

interface Buffer {
  readonly page: Page;
  /** The cgroup that asked for it, and the charge that is given back with it. */
  readonly cgroup: MemoryCgroup;
  readonly charge: KernelObject;
}

class BufferDriver {
  /** Buffers that nobody uses. They are still charged. */
  readonly idle: Buffer[] = [];
  private readonly memory: Memory;
  private readonly memcgs: MemoryCgroups;

  constructor(memory: Memory, memcgs: MemoryCgroups) {
    this.memory = memory;
    this.memcgs = memcgs;
  }

  /** @throws KernelError ENOMEM when a limit refuses the charge */
  *alloc(cgroup: MemoryCgroup): Sleeps<Buffer> {
    const at = this.idle.findIndex((buffer) => buffer.cgroup === cgroup);
    const [cached] = at < 0 ? [] : this.idle.splice(at, 1);
    if (cached !== undefined) return cached;
    const charge = yield* chargeKernel(this.memcgs, cgroup, BYTES, GFP_KERNEL_ACCOUNT);
    if (charge === undefined) throw new KernelError("ENOMEM", `a limit leaves ${cgroup.path} no buffer`);
    const page = this.memory.allocator.allocPages(GFP_KERNEL_ACCOUNT, ORDER, nodeId(0));
    if (page === NULL_PAGE) {
      unchargeKernel(this.memcgs, charge);
      throw new KernelError("ENOMEM", "the machine has no 64 KiB in one piece");
    }
    return { page, cgroup, charge };
  }

  free(buffer: Buffer): void {
    this.idle.push(buffer);
  }

  /** Frees an idle buffer of a cgroup or of one below it. @returns whether there was one */
  shrink(over: MemoryCgroup): boolean {
    const at = this.idle.findIndex(({ cgroup }) => cgroup.isBelowOrSame(over));
    const [buffer] = at < 0 ? [] : this.idle.splice(at, 1);
    if (buffer === undefined) return false;
    this.memory.allocator.freePages(buffer.page, ORDER);
    unchargeKernel(this.memcgs, buffer.charge);
    return true;
  }
}

const memory = bootMemory(createKernel(), {
  nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(GiB) }], cpus: [0] }],
  physicalBits: 40,
  maxPages: GiB / PAGE_SIZE,
});
const memcgs = new MemoryCgroups(memory);
const driver = new BufferDriver(memory, memcgs);
const remedy: OverLimit = {
  ...noRemedy,
  *overMax({ over }: RefusedCharge) {
    over.noteEvent("max");
    return driver.shrink(over) ? "retry" : "fail";
  },
};
memcgs.overLimit = remedy;

const shop = memcgs.create(memcgs.root, "shop");
const [web, batch] = [memcgs.create(shop, "web"), memcgs.create(shop, "batch")];
shop.memory.setMax(MiB / PAGE_SIZE);

function show(what: string): void {
  const charged = [shop, web, batch].map(
    ({ path, memory: { usage } }) => `${path} ${formatBytes(usage * PAGE_SIZE)}`,
  );
  console.log(`${what}: ${charged.join(", ")}`);
  assertInvariants(memcgs, memcgInvariants);
}

const used = Array.from({ length: 12 }, () => run(driver.alloc(web)));
show("web has 12 buffers");
for (const buffer of used.splice(0, 6)) driver.free(buffer);
show("web gave 6 back, which the driver keeps");

const more = Array.from({ length: 10 }, () => run(driver.alloc(batch)));
show(`batch has ${more.length} buffers, for which the driver freed ${6 - driver.idle.length} of web's`);
console.log(`/shop was at its limit ${shop.events("max")} times`);

try {
  run(driver.alloc(batch));
} catch (error) {
  if (!(error instanceof KernelError)) throw error;
  console.log(error.message);
}

// A cgroup is removed while its buffers are in use: its charges become its parent's.
memcgs.offline(batch);
show("batch is removed");
for (const buffer of [...used, ...more]) driver.free(buffer);
while (driver.shrink(memcgs.root)) continue;
show("all buffers are freed");
