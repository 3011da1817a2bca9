// Boots a machine: packages are plugged together, in the order in which a kernel starts its subsystems. Kernel counterpart:
// start_kernel() in init/main.c, and the initcalls behind it.
import { connectPagemaps, PagemapPages } from "@hetmem/hmm-migrate";
import { createKernel, type Kernel, type NodeId, nodeId, PAGE_SIZE, run } from "@hetmem/kernel";
import type { MachineSpec } from "@hetmem/machine-spec";
import { ProcessPoisonedPages } from "@hetmem/memory-failure";
import { memoryFailureDevPagemap, Pagemaps } from "@hetmem/memremap";
import { ProcessPageMigration } from "@hetmem/migrate";
import { type MmStruct, Vm, type VmOptions } from "@hetmem/mm";
import { reserveListener } from "@hetmem/mm/vma";
import { TmpfsPages } from "@hetmem/page-cache";
import { swapSpace } from "@hetmem/reclaim";
import { descendants, type Resource, type ResourceTree } from "@hetmem/resource";
import { MemoryFiles, Vfs } from "@hetmem/vfs";
import { allZones, type Memory, MemoryFailure, type MemoryHotplug } from "@hetmem/zone";
import { BootFootprint } from "./boot-footprint.ts";
import { bootMachineMemory } from "./boot-memory.ts";
import { Cgroups, startCharging } from "./cgroups.ts";
import { createDevices, type Devices } from "./devices/devices.ts";
import type { Hardware } from "./devices/hardware.ts";
import { MappedFiles } from "./mapped-files.ts";
import { PageMigrations, poisonedPageOwner } from "./page-owners.ts";
import { Processes } from "./processes.ts";
import { onlinePoliciesOf } from "../parts/online-policies.ts";
import { checkMade } from "../parts/check-parts.ts";
import type { MachineParts } from "../parts/machine-parts.ts";
import { memoryTables, processTables, systemTables } from "./tables.ts";
import { Udev } from "./udev.ts";
import type { MachineProcesses } from "../programs/machine-program.ts";

export interface BootedMachine {
  readonly spec: MachineSpec;
  /** The parts that the machine is made of: the caller's, and those of the profile. */
  readonly parts: MachineParts;
  readonly kernel: Kernel;
  readonly iomem: ResourceTree;
  readonly memory: Memory;
  readonly hotplug: MemoryHotplug;
  readonly failure: MemoryFailure;
  /** Address spaces, the page cache, swap. */
  readonly vm: Vm;
  /** Device memory: pagemaps, the dax bus, persistent memory. */
  readonly devices: Devices;
  readonly vfs: Vfs;
  /** The cgroups and their processes. */
  readonly cgroups: Cgroups;
  /** Programs as processes. */
  readonly processes: MachineProcesses;
  /** The rules for devices that appear. */
  readonly udev: Udev;
}

/**
 * @param hardware that of an earlier boot, with the contents of its persistent memory, or new
 * @throws KernelError with a sentence that names what the specification, or a part, has wrong
 */
export function boot(spec: MachineSpec, parts: MachineParts, hardware: Hardware): BootedMachine {
  const kernel = createKernel(checkMade("clock", parts.clock()));
  const udev = new Udev(kernel, [...parts.udevRules, ...(spec.rules ?? [])]);
  const onlinePolicies = onlinePoliciesOf(parts.onlinePolicies, spec.options);
  const { iomem, memory, hotplug } = bootMachineMemory(kernel, spec, parts, onlinePolicies);
  const footprint = new BootFootprint(memory);
  const { physicalBits } = spec;
  const pagemaps = new Pagemaps({ hotplug, physicalBits, policies: parts.pagemaps });
  const { charging, controller } = startCharging(memory, spec, parts);
  const vm = new Vm(memory, { ...vmOptionsOf(parts), charging, devices: new PagemapPages(pagemaps) });
  hotplug.notifiers.register(reserveListener(vm));
  hotplug.migration = new PageMigrations(footprint, new ProcessPageMigration(vm));
  for (const usage of spec.bootUsage) footprint.occupy(usage);
  addOfflineBlocks(hotplug, spec);

  connectPagemaps(vm, pagemaps);
  const failure = memoryFailureOf(vm, pagemaps);
  if (parts.config.has("MEMORY_FAILURE")) vm.memoryErrors = failure;
  const devices = createDevices({ spec, parts, vm, iomem, pagemaps, failure, hardware });
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
    controller,
    config: parts.config,
    programs: processes,
    names: {
      device: (pfn) => innermostAt(iomem, pfn * PAGE_SIZE)?.name,
      file: (inode) => processes.pathOf(inode),
    },
  });
  for (const table of [
    ...memoryTables({ spec, parts, iomem, vm }),
    ...processTables({ parts, vm, processes }),
    ...systemTables({ spec, parts, onlinePolicies, hotplug, failure, vm }),
    ...devices.tables,
    ...cgroups.tables,
  ]) {
    vfs.mountLazily(table);
  }
  vfs.mkdir("/tmp");
  startUserSpace(spec, vm, vfs);
  return {
    spec,
    parts,
    kernel,
    iomem,
    memory,
    hotplug,
    failure,
    vm,
    devices,
    vfs,
    cgroups,
    processes,
    udev,
  };
}

/** Takes swap areas into use, and writes the values of /proc/sys, as services do before anybody logs in. */
function startUserSpace({ swap = [], sysctl = {} }: MachineSpec, vm: Vm, vfs: Vfs): void {
  for (const area of swap) swapSpace(vm).swapon(area);
  for (const [name, value] of Object.entries(sysctl))
    run(vfs.write(`/proc/sys/${name.replaceAll(".", "/")}`, `${value}\n`));
}

/** The parts of address spaces, each checked when it is made. */
function vmOptionsOf(parts: MachineParts): VmOptions {
  return {
    transparentHugepages: parts.config.has("TRANSPARENT_HUGEPAGE"),
    hugetlb: (vm) => checkMade("hugetlb", parts.hugetlb(vm)),
    swap: (vm) => checkMade("swap", parts.swap(vm)),
    reclaim: (vm) => checkMade("reclaim", parts.reclaim(vm)),
    sharedMemory: (vm) => checkMade("sharedMemory", parts.sharedMemory(vm)),
    khugepaged: (vm) => checkMade("khugepaged", parts.khugepaged(vm)),
    oomChoice: (vm) => checkMade("oomChoice", parts.oomChoice(vm)),
    tiers: (vm) => checkMade("tiers", parts.tiers(vm)),
    demotion: (vm) => checkMade("demotion", parts.demotion(vm)),
    promotion: (vm) => checkMade("promotion", parts.promotion(vm)),
  };
}

/** Bad pages of processes, of devices, and of memory that isn't in use. @see memory_failure() in mm/memory-failure.c */
function memoryFailureOf(vm: Vm, pagemaps: Pagemaps): MemoryFailure {
  const failure = new MemoryFailure(vm.memory, pagemaps.hotplug.locks);
  failure.owner = poisonedPageOwner(vm, new ProcessPoisonedPages(vm));
  failure.devices = {
    memoryFailure: (frame, current) => memoryFailureDevPagemap(pagemaps, frame, current),
  };
  return failure;
}

/** The smallest part of the physical space that an address lies in. */
function innermostAt(iomem: ResourceTree, address: number): Resource | undefined {
  let found: Resource | undefined;
  for (const resource of descendants(iomem))
    if (resource.start <= address && address <= resource.end) found = resource;
  return found;
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

/** Blocks that a captured host had plugged in and not online. */
function addOfflineBlocks(hotplug: MemoryHotplug, { offline = [] }: MachineSpec): void {
  if (offline.length === 0) return;
  run(hotplug.locks.lockDeviceHotplug());
  for (const { start, end, node = nodeId(0) } of offline) run(hotplug.addMemory(node, start, end - start));
  hotplug.locks.unlockDeviceHotplug();
}
