// A small machine for tests of migration: a node with RAM, a device with memory of its own and the smallest driver that
// can use it, and processes. A case overrides the parts of the driver that it changes.
import {
  assertInvariants,
  type Kernel,
  MiB,
  nodeId,
  type Page,
  type Pfn,
  run,
  type Sleeps,
  type VirtAddr,
  virtAddr,
} from "@hetmem/kernel";
import {
  DevPagemap,
  MemoryType,
  type PagemapPolicies,
  Pagemaps,
  quickPagemapInvariants,
  zoneDevicePageInit,
} from "@hetmem/memremap";
import {
  type FaultContext,
  MapFlag,
  mmap,
  type MmStruct,
  type PageCharging,
  type Process,
  Prot,
  readUser,
  type Vm,
  VmFault,
  vmInvariants,
  writeUser,
} from "@hetmem/mm";
import type { MemMap } from "@hetmem/page";
import { createIomem, type ResourceTree } from "@hetmem/resource";
import { wholeVm } from "./whole-vm.ts";
import { GFP_HIGHUSER_MOVABLE, type Memory } from "@hetmem/zone";
import {
  connectPagemaps,
  createMigratePfns,
  createMigrateVma,
  migrateDeviceFinalize,
  migrateDevicePages,
  migrateDeviceRange,
  migratePfnToPage,
  migrates,
  type MigrateVma,
  migrateVmaFinalize,
  migrateVmaPages,
  MigrateVmaSelect,
  migrateVmaSetup,
  PagemapPages,
  setMigrateDst,
} from "@hetmem/hmm-migrate";
import { LATER } from "./pagemap-machine.ts";
import { bootRam, freePagesOf, nodesOf, SECTION, sectionHotplug } from "./ram.ts";
import { mmOf, PAGE, spawnOn } from "./vm-machine.ts";

export const BASE: VirtAddr = virtAddr(0x7f00_0000_0000);
const PHYSICAL_BITS = 36;

export interface MigrateMachineOptions {
  /** Bytes of RAM. */
  readonly ram?: number;
  readonly policies?: PagemapPolicies;
  /** The charging of the machine, given its memory. */
  readonly charging?: (memory: Memory) => PageCharging;
}

export interface MigrateMachine {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly memmap: MemMap;
  readonly iomem: ResourceTree;
  readonly pagemaps: Pagemaps;
  readonly vm: Vm;
  /** A process with `pages` of private anonymous memory at BASE. */
  spawn(pages?: number): Process;
  freePages(): number;
  check(): void;
}

export function migrateMachine(options: MigrateMachineOptions = {}): MigrateMachine {
  const { ram = 16 * MiB, policies = LATER, charging } = options;
  const nodes = nodesOf([ram]);
  const { kernel, memory } = bootRam(nodes, { physicalBits: PHYSICAL_BITS, room: 2 * SECTION });
  const iomem = createIomem(PHYSICAL_BITS);
  const hotplug = sectionHotplug({ memory, iomem, addressableEnd: 2 ** PHYSICAL_BITS });
  const pagemaps = new Pagemaps({ hotplug, physicalBits: PHYSICAL_BITS, policies });
  const vm = wholeVm(memory, {
    devices: new PagemapPages(pagemaps),
    ...(charging && { charging: charging(memory) }),
  });
  connectPagemaps(vm, pagemaps);
  return {
    kernel,
    memory,
    memmap: memory.memmap,
    iomem,
    pagemaps,
    vm,
    spawn: (pages = 8) => spawn(vm, pages),
    freePages: () => freePagesOf(memory),
    check() {
      assertInvariants(vm, vmInvariants);
      assertInvariants(pagemaps, quickPagemapInvariants);
    },
  };
}

export interface TestDeviceOptions {
  readonly type?: MemoryType;
  /** Pages that the driver hands out. */
  readonly pages?: number;
  /** First byte: 32 GiB when absent. */
  readonly start?: number;
}

/** A device with memory and the driver of it. */
export class TestDevice {
  readonly machine: MigrateMachine;
  readonly pagemap: DevPagemap;
  readonly kind: MemoryType;
  /** Idle pages, and how often each came back. */
  readonly idle: Page[] = [];
  readonly freed = new Map<Page, number>();
  /** The CPU accesses for which migrateToRam() was called. */
  faults = 0;
  /** The driver's migrateToRam(). */
  onFault: (fault: FaultContext, page: Page) => Sleeps<VmFault> = (fault, page) => this.moveBack(fault, page);
  /** Called for bad memory. */
  readonly bad: Pfn[] = [];
  /** Steps at which the driver sleeps; by default none. */
  pause: () => Sleeps<void> = function* () {};

  constructor(machine: MigrateMachine, options: TestDeviceOptions = {}) {
    const { type = MemoryType.DevicePrivate, pages = 64, start = 32 * 1024 * MiB } = options;
    this.machine = machine;
    this.kind = type;
    this.pagemap = new DevPagemap({
      type,
      name: "gpu0",
      ranges: [{ start, size: 2 * MiB }],
      owner: this,
      ops: {
        pageFree: (page) => this.takeBack(page),
        migrateToRam: (fault, page) => this.asked(fault as FaultContext, page),
        memoryFailure: (_pagemap, frame) => this.failed(frame),
      },
    });
    run(machine.pagemaps.memremapPages(this.pagemap, nodeId(0)));
    for (let i = pages - 1; i >= 0; i--) this.idle.push(this.page(i));
  }

  page(n: number): Page {
    return this.machine.memmap.pfnToPage((this.pagemap.firstPfn(0) + n) as Pfn);
  }

  /** Selection of this device's pages. */
  get select(): number {
    return this.kind === MemoryType.DevicePrivate
      ? MigrateVmaSelect.devicePrivate
      : MigrateVmaSelect.deviceCoherent;
  }

  /** A page of the device, locked and with a reference; undefined when it is full. */
  alloc(): Page | undefined {
    const page = this.idle.pop();
    if (page === undefined) return undefined;
    zoneDevicePageInit(this.machine.pagemaps, page);
    return page;
  }

  /** Migrates pages to the device. @returns number of pages that were migrated */
  *migrateTo(mm: MmStruct, start: VirtAddr, pages: number): Sleeps<number> {
    yield* mm.mmapLock.downRead();
    try {
      const vma = mm.vmas.at(start);
      if (!vma) return 0;
      const end = Math.min(vma.end, start + pages * PAGE) as VirtAddr;
      const args = createMigrateVma({ vma, start, end, pgmapOwner: this, flags: MigrateVmaSelect.system });
      yield* migrateVmaSetup(args);
      yield* this.pause();
      this.copyOver(args, () => this.alloc());
      yield* migrateVmaPages(args);
      yield* this.pause();
      const moved = count(args.src, args.npages);
      yield* migrateVmaFinalize(args);
      return moved;
    } finally {
      mm.mmapLock.upRead();
    }
  }

  /** Migrates pages of a range back to RAM, with the mmap lock held. @returns number of pages that were migrated */
  *moveRange(
    request: Pick<MigrateVma, "vma" | "start" | "end"> & { readonly faultPage?: Page },
  ): Sleeps<number> {
    const args = createMigrateVma({ ...request, pgmapOwner: this, flags: this.select });
    yield* migrateVmaSetup(args);
    yield* this.pause();
    this.copyOver(args, () => this.allocRam());
    yield* migrateVmaPages(args);
    yield* this.pause();
    const moved = count(args.src, args.npages);
    yield* migrateVmaFinalize(args);
    return moved;
  }

  *migrateBack(mm: MmStruct, start: VirtAddr, pages: number): Sleeps<number> {
    yield* mm.mmapLock.downRead();
    try {
      const vma = mm.vmas.at(start);
      if (!vma) return 0;
      const end = Math.min(vma.end, start + pages * PAGE) as VirtAddr;
      return yield* this.moveRange({ vma, start, end });
    } finally {
      mm.mmapLock.upRead();
    }
  }

  /** The default migrateToRam(): the page moves back. */
  *moveBack(fault: FaultContext, page: Page): Sleeps<VmFault> {
    const { vma, address } = fault;
    const end = (address + PAGE) as VirtAddr;
    yield* this.moveRange({ vma, start: address, end, faultPage: page });
    return 0;
  }

  /** Migrates all pages of the device to RAM, in any address space. @returns number of pages that were migrated */
  *evict(first = 0, pages = 64): Sleeps<number> {
    const { vm } = this.machine;
    const [src, dst] = [createMigratePfns(pages), createMigratePfns(pages)];
    yield* migrateDeviceRange(vm, src, (this.pagemap.firstPfn(0) + first) as Pfn, pages);
    yield* this.pause();
    this.copyOver({ src, dst, npages: pages }, () => this.allocRam());
    yield* migrateDevicePages(vm, src, dst, pages);
    yield* this.pause();
    const moved = count(src, pages);
    yield* migrateDeviceFinalize(vm, src, dst, pages);
    return moved;
  }

  allocRam(): Page | undefined {
    const { memory, memmap } = this.machine;
    const page = memory.allocator.allocPages(GFP_HIGHUSER_MOVABLE, 0, nodeId(0));
    if (page === 0) return undefined;
    memmap.set(page, 1);
    return page;
  }

  copyOver(
    { src, dst, npages }: Pick<MigrateVma, "src" | "dst" | "npages">,
    alloc: () => Page | undefined,
  ): void {
    const { contents } = this.machine.memmap;
    for (let i = 0; i < npages; i++) {
      if (!migrates(src, i)) continue;
      const to = alloc();
      if (to === undefined) continue;
      const from = migratePfnToPage(src, i);
      if (from === 0) contents.clear(to);
      else contents.copy(to, from);
      setMigrateDst(dst, i, to);
    }
  }

  private takeBack(page: Page): void {
    this.freed.set(page, (this.freed.get(page) ?? 0) + 1);
    this.idle.push(page);
  }

  private *asked(fault: FaultContext, page: Page): Sleeps<VmFault> {
    this.faults++;
    return yield* this.onFault(fault, page);
  }

  private *failed(frame: Pfn): Sleeps<void> {
    this.bad.push(frame);
  }
}

export function count(src: Int32Array, npages: number): number {
  let moved = 0;
  for (let i = 0; i < npages; i++) if (migrates(src, i)) moved++;
  return moved;
}

/** A driver of a device that no longer answers. */
export function* dead(): Sleeps<VmFault> {
  return VmFault.SIGBUS;
}

export function pageAt(n: number): VirtAddr {
  return (BASE + n * PAGE) as VirtAddr;
}

/** The entry of the n-th page after BASE. */
export function entryAt(process: Process, n: number): { readonly value: number; readonly flags: number } {
  const { pageTable } = mmOf(process);
  const entry = pageTable.find(pageAt(n));
  return { value: pageTable.value(entry), flags: pageTable.flags(entry) };
}

export function write(process: Process, n: number, byte: number): void {
  run(writeUser(process, pageAt(n), Uint8Array.of(byte)));
}

export function read(process: Process, n: number): number {
  const into = new Uint8Array(1);
  run(readUser(process, pageAt(n), into));
  return into[0] as number;
}

function spawn(vm: Vm, pages: number): Process {
  const process = spawnOn(vm);
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.NORESERVE;
  run(mmap(mmOf(process), { address: BASE, length: pages * PAGE, prot: Prot.READ | Prot.WRITE, flags }));
  return process;
}
