// The composition root: a machine is made from its specification by plugging packages together, and nothing else knows
// them all. Swap a policy or a driver by passing another object here.
import { gupTestTable } from "@hetmem/gup";
import { connectPagemaps, PagemapPages } from "@hetmem/hmm-migrate";
import { hugetlbPool, hugetlbTables } from "@hetmem/hugetlb";
import {
  createKernel,
  type Kernel,
  KiB,
  type NodeId,
  nodeId,
  PAGE_SIZE,
  physAddr,
  run,
  TiB,
} from "@hetmem/kernel";
import { khugepagedTables } from "@hetmem/khugepaged";
import { DEFAULT_DIRECT_MAP_BITS, type MachineSpec, writeIomem } from "@hetmem/machine-spec";
import { ProcessPoisonedPages } from "@hetmem/memory-failure";
import { memoryFailureDevPagemap, Pagemaps } from "@hetmem/memremap";
import { migrateTables, ProcessPageMigration } from "@hetmem/migrate";
import { type MmStruct, Vm, vmTables } from "@hetmem/mm";
import { reserveListener } from "@hetmem/mm/vma";
import { pageCacheTables, TmpfsPages } from "@hetmem/page-cache";
import { procPidTable } from "@hetmem/proc-pid";
import { reclaimTables, swapSpace } from "@hetmem/reclaim";
import {
  createIomem,
  descendants,
  formatIomem,
  parseIomem,
  type Resource,
  type ResourceTree,
} from "@hetmem/resource";
import { MemoryFiles, Vfs } from "@hetmem/vfs";
import {
  allZones,
  bootMemory,
  busTables,
  type Memory,
  MemoryFailure,
  MemoryHotplug,
  memorySysfs,
  nodeSysfs,
  procTables,
} from "@hetmem/zone";
import { registerBootBlocks } from "./machine/boot-blocks.ts";
import { BootFootprint } from "./machine/boot-footprint.ts";
import { Cgroups, memoryCharging } from "./machine/cgroups.ts";
import { cpuTables } from "./machine/cpu-sysfs.ts";
import { spanDeviceMemory } from "./machine/device-spans.ts";
import { createDevices, type Devices } from "./machine/devices/devices.ts";
import { createHardware, type Hardware } from "./machine/devices/hardware.ts";
import { maxPages, withHostRoom } from "./machine/host-room.ts";
import { MappedFiles } from "./machine/mapped-files.ts";
import { memoryDevices } from "./machine/memory-devices.ts";
import { memoryHotplugParameters } from "./machine/module-parameters.ts";
import { PageMigrations, poisonedPageOwner } from "./machine/page-owners.ts";
import { Processes } from "./machine/processes.ts";
import { onlinePolicyParameters, placementOf, PROFILES } from "./machine/profile.ts";
import { Udev } from "./machine/udev.ts";
import { vmParts } from "./machine/vm-parts.ts";
import type { MachineProcesses } from "./programs/machine-program.ts";

export interface Machine {
  readonly spec: MachineSpec;
  readonly kernel: Kernel;
  readonly iomem: ResourceTree;
  readonly memory: Memory;
  readonly hotplug: MemoryHotplug;
  readonly failure: MemoryFailure;
  /** Address spaces, the page cache, swap. */
  readonly vm: Vm;
  /** Device memory: pagemaps, the dax bus, persistent memory. */
  readonly devices: Devices;
  /** What a reboot leaves: createMachine() takes it again. */
  readonly hardware: Hardware;
  readonly vfs: Vfs;
  /** Who is in which cgroup. */
  readonly cgroups: Cgroups;
  /** Programs as processes. */
  readonly processes: MachineProcesses;
  /** What is to be done with devices that came. */
  readonly udev: Udev;
}

/**
 * Boots a machine.
 *
 * @param hardware that of an earlier boot, with what is on its persistent memory; new when absent
 * @throws KernelError with a sentence that names what the specification has wrong, and ENOMEM when the host has no room
 */
export function createMachine(spec: MachineSpec, hardware: Hardware = createHardware(spec)): Machine {
  return withHostRoom(spec, () => assemble(spec, hardware));
}

function assemble(spec: MachineSpec, hardware: Hardware): Machine {
  const kernel = createKernel();
  const udev = new Udev(kernel, spec.rules ?? []);
  const profile = PROFILES[spec.profile];
  const parameters = onlinePolicyParameters(spec.options);
  const iomem = parseIomem(writeIomem(spec.iomem), createIomem(spec.physicalBits));
  const memory = bootMemory(kernel, {
    nodes: spec.nodes,
    distances: spec.distances,
    physicalBits: spec.physicalBits,
    maxPages: maxPages(spec),
    reserved: kernelImage(spec),
    zones: spec.bootUsage,
    ...pick(spec.options, "kernelcore", "movablecore", "movable_node"),
  });
  const hotplug = new MemoryHotplug({
    memory,
    iomem,
    placement: placementOf(profile, spec.options, parameters),
    blockSize: spec.blockSize,
    addressableEnd: 2 ** (spec.directMapBits ?? DEFAULT_DIRECT_MAP_BITS),
    memmapOnMemory: spec.options.memmap_on_memory ?? false,
    autoOnline: spec.options.memhp_default_state ?? "offline",
  });
  registerBootBlocks(hotplug);
  spanDeviceMemory(memory, spec.deviceSpans ?? []);
  const footprint = new BootFootprint(memory);
  const { physicalBits } = spec;
  const pagemaps = new Pagemaps({ hotplug, physicalBits, policies: profile.pagemaps });
  const { charging, memory: charged } = memoryCharging(memory, spec.options);
  const vm = new Vm(memory, { ...vmParts, charging, devices: new PagemapPages(pagemaps) });
  hotplug.notifiers.register(reserveListener(vm));
  hotplug.migration = new PageMigrations(footprint, new ProcessPageMigration(vm));
  for (const usage of spec.bootUsage) footprint.occupy(usage);
  addOfflineBlocks(hotplug, spec);

  const failure = new MemoryFailure(memory, hotplug.locks);
  failure.owner = poisonedPageOwner(vm, new ProcessPoisonedPages(vm));
  connectPagemaps(vm, pagemaps);
  failure.devices = {
    memoryFailure: (frame, current) => memoryFailureDevPagemap(pagemaps, frame, current),
  };
  vm.memoryErrors = failure;
  const devices = createDevices({ spec, profile, vm, iomem, pagemaps, failure, hardware });
  const writer = (): MmStruct | undefined => processes.current?.mm ?? cgroups.shellMm;
  const tmpfs = new TmpfsPages(vm, Math.floor(managedPages(memory) / 2), writer);
  const vfs = new Vfs(new MemoryFiles(tmpfs));
  const processes: Processes = new Processes(vm, {
    ...cpuNodes(spec),
    files: new MappedFiles(vfs, tmpfs, (path) => devices.open(path)),
    swapAreas: spec.swap ?? [],
    settle: () => devices.settle(),
    payer: (parent) => cgroups.payer(parent),
  });
  const cgroups = new Cgroups({
    spec,
    vm,
    memory: charged,
    programs: processes,
    names: {
      device: (pfn) => innermostAt(iomem, pfn * PAGE_SIZE)?.name,
      file: (inode) => processes.pathOf(inode),
    },
  });
  const nodeOfAddress = (address: number): NodeId => nodeOfBootMemory(spec, address);
  for (const table of [
    {
      root: "/proc",
      files: { iomem: { mode: 0o400, show: () => formatIomem(iomem, { privileged: true }) } },
    },
    ...procTables(memory, {
      vmallocTotalKiB: vmallocKiB(spec),
      swapTotal: () => vm.swap.totalPages,
      swapFree: () => vm.swap.freePages,
      committed: () => vm.commit.pages,
      commitLimit: () => vm.commit.limit,
      hugePages: hugetlbPool(vm),
    }),
    ...vmTables(vm),
    ...pageCacheTables(vm, () => processes.currentTask),
    ...reclaimTables(vm),
    ...hugetlbTables(vm),
    ...khugepagedTables(vm),
    ...migrateTables(vm),
    procPidTable(vm),
    processes.selfTable(),
    memoryDevices(),
    gupTestTable(vm, profile.gupTest),
    memorySysfs({
      hotplug,
      failure,
      nodeOfAddress,
      removable: profile.removable,
      autoOnlineTypes: profile.autoOnlineTypes,
    }),
    ...nodeSysfs(
      memory,
      {
        blocksOfNode: (node) => blocksOfNode(hotplug, node),
        isBlockOfNode: (block, node) => hotplug.blocks.get(block)?.nodes.includes(node) ?? false,
      },
      hugetlbPool(vm),
    ),
    ...busTables(hotplug),
    ...(profile.moduleParameters ? [memoryHotplugParameters(parameters, hotplug.memmapOnMemory)] : []),
    ...cpuTables(spec),
    ...devices.tables,
    ...cgroups.tables,
  ]) {
    vfs.mountLazily(table);
  }
  vfs.mkdir("/tmp");
  for (const area of processes.swapAreas) swapSpace(vm).swapon(area);
  for (const [name, value] of Object.entries(spec.sysctl ?? {}))
    run(vfs.write(`/proc/sys/${name.replaceAll(".", "/")}`, `${value}\n`));
  return {
    spec,
    kernel,
    iomem,
    memory,
    hotplug,
    failure,
    vm,
    devices,
    hardware,
    vfs,
    cgroups,
    processes,
    udev,
  };
}

/** The smallest part of the physical space that an address lies in. */
function innermostAt(iomem: ResourceTree, address: number): Resource | undefined {
  let found: Resource | undefined;
  for (const resource of descendants(iomem))
    if (resource.start <= address && address <= resource.end) found = resource;
  return found;
}

/** The vmalloc area grows with the page tables. @see VMALLOC_SIZE_TB in arch/x86/include/asm/pgtable_64_types.h */
function vmallocKiB({ directMapBits = DEFAULT_DIRECT_MAP_BITS }: MachineSpec): number {
  const terabytes = directMapBits > DEFAULT_DIRECT_MAP_BITS ? 12_800 : 32;
  return (terabytes * TiB) / KiB - 1;
}

/** The shell has the first cpu. What it starts runs on the second, which may stand on the next node. @see select_task_rq_fair() */
function cpuNodes({ nodes }: MachineSpec): { shellNode: NodeId; programNode: NodeId } {
  const [shellNode = nodeId(0), programNode = shellNode] = nodes.flatMap(({ id, cpus }) =>
    cpus.map(() => id),
  );
  return { shellNode, programNode };
}

function managedPages(memory: Memory): number {
  let pages = 0;
  for (const zone of allZones(memory)) pages += zone.managedPages;
  return pages;
}

/** Where the firmware map says that the kernel lies. */
function kernelImage({
  iomem,
}: MachineSpec): { start: ReturnType<typeof physAddr>; end: ReturnType<typeof physAddr> }[] {
  return iomem
    .flatMap((entry) => entry.children)
    .filter((entry) => /^Kernel (code|rodata|data|bss)$/.test(entry.name))
    .map(({ start, end }) => ({ start, end: physAddr(end + 1) }));
}

/** Blocks that a captured host had plugged in and not online. */
function addOfflineBlocks(hotplug: MemoryHotplug, { offline = [] }: MachineSpec): void {
  if (offline.length === 0) return;
  run(hotplug.locks.lockDeviceHotplug());
  for (const { start, end, node = nodeId(0) } of offline) run(hotplug.addMemory(node, start, end - start));
  hotplug.locks.unlockDeviceHotplug();
}

/** x86 asks the boot memory's node, and answers with the first node for addresses it doesn't know. @see memory_add_physaddr_to_nid() in arch/x86/mm/numa.c */
function nodeOfBootMemory(spec: MachineSpec, address: number): NodeId {
  const owner = spec.nodes.find(({ memory }) =>
    memory.some(({ start, end }) => start <= address && address < end),
  );
  return owner?.id ?? spec.nodes.find(({ memory }) => memory.length > 0)?.id ?? nodeId(0);
}

function blocksOfNode(hotplug: MemoryHotplug, node: NodeId): number[] {
  return [...hotplug.blocks.values()].filter((block) => block.nodes.includes(node)).map((block) => block.id);
}

/** Those of the named properties that are there. */
function pick<T extends object, K extends keyof T>(from: T, ...names: readonly K[]): Pick<T, K> {
  return Object.fromEntries(
    names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]]),
  ) as Pick<T, K>;
}
