// The memory cgroups of one machine: creation, lookup, removal, freeing. A removed cgroup is offline, and is freed
// with its last charge. Kernel counterpart: mem_cgroup_css_alloc() and its kin in mm/memcontrol.c.
import { bugOn, KernelBug, type NodeId, type Page } from "@hetmem/kernel";
import type { MmStruct, Vm } from "@hetmem/mm";
import type { Lruvec } from "@hetmem/mm/lru";
import { resized } from "@hetmem/page";
import { type BuildOptions, everyOption, type Memory } from "@hetmem/zone";
import { CgroupIds, NOBODY, ROOT_ID } from "./cgroup-ids.ts";
import { CgroupLruvecs } from "./cgroup-lruvecs.ts";
import { reparentDevicePages } from "./device-charges.ts";
import { MemoryCgroup } from "./memory-cgroup.ts";
import { noRemedy, type OverLimit } from "./over-limit.ts";
import { PageAccounting } from "./page-accounting.ts";
import { CgroupStats } from "./stat/cgroup-stats.ts";
import { Stocks } from "./stock.ts";
import { SwapOwners } from "./swap-cgroup.ts";

export interface MemoryCgroupsOptions {
  /** Whether pages of the kernel are charged, too; they are when absent. @see CONFIG_MEMCG_KMEM */
  readonly kernelMemory?: boolean;
  /** The kernel's options, which decide about files and lines; all when absent. */
  readonly built?: BuildOptions;
}

export class MemoryCgroups {
  readonly memory: Memory;
  /** Options that decide which files and lines there are. */
  readonly built: BuildOptions;
  /** Whether pages that the kernel allocates for a process are charged. */
  readonly chargesKernel: boolean;
  readonly root: MemoryCgroup;
  /** The charging port for `new Vm(memory, { charging })`. */
  readonly charging: PageAccounting;
  readonly ids: CgroupIds = new CgroupIds();
  readonly stats: CgroupStats;
  readonly lruvecs: CgroupLruvecs;
  readonly stocks: Stocks;
  readonly swapOwners: SwapOwners = new SwapOwners();
  /** Cgroup id of each page. @see folio->memcg_data */
  owners: Uint16Array = new Uint16Array(0);
  /** The policy at limits; charges fail there by default. */
  overLimit: OverLimit = noRemedy;
  /** Called with each freed cgroup. @see mem_cgroup_css_free() */
  freed: (cgroup: MemoryCgroup) => void = () => {};
  private machine: Vm | undefined = undefined;

  constructor(memory: Memory, { kernelMemory = true, built = everyOption }: MemoryCgroupsOptions = {}) {
    this.memory = memory;
    this.built = built;
    this.chargesKernel = kernelMemory;
    const nodes = memory.nodes.length;
    this.lruvecs = new CgroupLruvecs(this.ids, this.owners, nodes);
    this.stats = new CgroupStats(this.ids, this.owners, this.lruvecs, nodes);
    const cpus = memory.nodes.reduce(
      (max, node) => Math.max(max, ...(node?.cpus ?? []).map((cpu) => cpu + 1)),
      1,
    );
    this.stocks = new Stocks(this.ids, cpus);
    this.root = this.make("", undefined);
    this.charging = new PageAccounting(this);
    memory.memmap.addTable((pages) => this.fitOwners(pages));
  }

  /** Makes room for the owners of so many pages. */
  private fitOwners(pages: number): void {
    this.owners = resized(this.owners, pages, "cgroups of pages");
    this.lruvecs.pageOwners = this.owners;
    this.stats.owners = this.owners;
    this.charging.owners = this.owners;
  }

  /** The Vm whose pages are charged. @throws KernelBug before a Vm was created with `charging` */
  get vm(): Vm {
    return this.machine ?? noMachine();
  }

  /** Called by the Vm that was created with `charging`. */
  start(vm: Vm): void {
    bugOn(this.machine !== undefined, "memory cgroups are of one machine");
    this.machine = vm;
    this.lruvecs.start(vm.lru);
  }

  /**
   * Creates a cgroup below `parent`.
   *
   * @throws KernelError ENOSPC when all 65,535 ids are in use, including those of removed cgroups with charges left
   * @see mem_cgroup_css_alloc(), mem_cgroup_css_online()
   */
  create(parent: MemoryCgroup, name: string): MemoryCgroup {
    bugOn(!parent.online, `a memory cgroup is made below ${parent.path}, which is removed`);
    const cgroup = this.make(name, parent);
    cgroup.nextSibling = parent.firstChild;
    if (parent.firstChild) parent.firstChild.previousSibling = cgroup;
    parent.firstChild = cgroup;
    return cgroup;
  }

  /**
   * Takes a removed cgroup offline. The cgroup has no processes and no online descendants. Charges for kernel memory
   * and device pages are reparented; other charges stay.
   *
   * @see mem_cgroup_css_offline()
   */
  offline(cgroup: MemoryCgroup): void {
    const { parent, memory } = cgroup;
    if (parent === undefined) throw new KernelBug("the root of the memory cgroups can't be removed");
    for (const child of cgroup.children())
      bugOn(child.online, `${cgroup.path} is removed while ${child.path} is below it`);
    cgroup.online = false;
    this.ids.removed[cgroup.id] = 1;
    memory.setMin(0);
    memory.setLow(0);
    this.reparentKernel(cgroup, parent);
    this.stocks.drainAll(cgroup);
    reparentDevicePages(this, cgroup);
    for (const mm of this.machine?.addressSpaces ?? []) if (mm.payer === cgroup.id) mm.payer = NOBODY;
    this.freeIfUnused(cgroup);
  }

  /**
   * Charges further pages of an address space to a cgroup. Earlier charges stay where they are.
   *
   * @see mem_cgroup_attach()
   */
  attach(mm: MmStruct, cgroup: MemoryCgroup): void {
    bugOn(!cgroup.online, `mm ${mm.id} moves to ${cgroup.path}, which is removed`);
    mm.payer = cgroup.id;
  }

  /** The cgroup that pages of an address space are charged to. @see get_mem_cgroup_from_mm() */
  ofMm({ payer }: MmStruct): MemoryCgroup {
    return this.ids.cgroup(payer === NOBODY ? ROOT_ID : payer);
  }

  /** The cgroup that a page is charged to; undefined for none. @see page_memcg() */
  ofPage(page: Page): MemoryCgroup | undefined {
    return this.ids.find(this.owners[page] as number);
  }

  /** The cgroup that a swap slot is charged to; undefined for none. */
  ofSlot(device: number, slot: number): MemoryCgroup | undefined {
    return this.ids.find(this.swapOwners.owner(device, slot));
  }

  /** The cgroup of an lruvec. @see lruvec_memcg() */
  ofLruvec({ id }: Lruvec): MemoryCgroup {
    return this.ids.cgroup(this.lruvecs.owner(id));
  }

  /** Every existing lruvec of a node; none before a Vm was created with `charging`. */
  lruvecsOn(node: NodeId): Iterable<Lruvec> {
    return this.machine?.lru.lruvecsOfNode(node) ?? [];
  }

  /** The existing lruvecs of a cgroup and its descendants on a node, its own first. @see mem_cgroup_iter() */
  lruvecsBelow(cgroup: MemoryCgroup, node: NodeId): Lruvec[] {
    const found: Lruvec[] = [];
    for (const member of cgroup.subtree()) {
      const lruvec = this.lruvecs.find(member, node);
      if (lruvec) found.push(lruvec);
    }
    return found;
  }

  /**
   * Frees a removed cgroup if nothing is charged to it or its descendants. Called when a charge or reference is
   * dropped.
   *
   * @see mem_cgroup_css_free()
   */
  freeIfUnused(cgroup: MemoryCgroup): void {
    const { parent, id } = cgroup;
    if (cgroup.online || cgroup.firstChild !== undefined || parent === undefined || this.ids.isInUse(id))
      return;
    this.stocks.drainAll(cgroup);
    for (const counter of [cgroup.memory, cgroup.swap, cgroup.kmem])
      bugOn(counter.usage !== 0, `${cgroup.path} goes with ${counter.usage} pages charged to it`);
    this.unlink(cgroup, parent);
    this.lruvecs.release(cgroup);
    this.stats.release(cgroup);
    this.ids.release(id);
    this.freed(cgroup);
    this.freeIfUnused(parent);
  }

  /** Frees a kernel memory id without charges, unless it is the cgroup's current one. */
  releaseKernelId(id: number, cgroup: MemoryCgroup): void {
    if (cgroup.kernelId === id || this.ids.isInUse(id)) return;
    this.stats.forget(id);
    this.ids.release(id);
  }

  private make(name: string, parent: MemoryCgroup | undefined): MemoryCgroup {
    const id = this.ids.create(false, (own) => new MemoryCgroup(own, name, parent));
    return this.ids.cgroup(id);
  }

  /** @see memcg_reparent_objcgs() */
  private reparentKernel(cgroup: MemoryCgroup, parent: MemoryCgroup): void {
    if (cgroup.kernelId === NOBODY && cgroup.kmem.usage === 0) return;
    for (const id of this.ids.kernelIdsOf(cgroup)) {
      this.stats.forget(id);
      this.ids.handOver(id, parent);
      if (!this.ids.isInUse(id)) this.ids.release(id);
    }
    cgroup.kernelId = NOBODY;
    const { usage } = cgroup.kmem;
    cgroup.kmem.cancel(usage);
    cgroup.memory.cancel(usage);
    this.stats.surrenderKernel(cgroup);
  }

  private unlink(cgroup: MemoryCgroup, parent: MemoryCgroup): void {
    const { previousSibling, nextSibling } = cgroup;
    if (previousSibling) previousSibling.nextSibling = nextSibling;
    else parent.firstChild = nextSibling;
    if (nextSibling) nextSibling.previousSibling = previousSibling;
  }
}

function noMachine(): never {
  throw new KernelBug("memory cgroups without a machine: make the Vm with their `charging` first");
}
