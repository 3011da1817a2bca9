// The composition root: a machine is made from its specification by plugging packages together, and nothing else knows
// them all. Swap a policy or a driver by passing another object here.
import { connectPagemaps, PagemapPages } from "@hetmem/hmm-migrate";
import { createKernel, type Kernel, type NodeId, nodeId, PAGE_SIZE, run } from "@hetmem/kernel";
import type { MachineSpec } from "@hetmem/machine-spec";
import { ProcessPoisonedPages } from "@hetmem/memory-failure";
import { memoryFailureDevPagemap, Pagemaps } from "@hetmem/memremap";
import { ProcessPageMigration } from "@hetmem/migrate";
import { type MmStruct, Vm } from "@hetmem/mm";
import { reserveListener } from "@hetmem/mm/vma";
import { TmpfsPages } from "@hetmem/page-cache";
import { swapSpace } from "@hetmem/reclaim";
import { descendants, type Resource, type ResourceTree } from "@hetmem/resource";
import { MemoryFiles, Vfs } from "@hetmem/vfs";
import { allZones, type Memory, MemoryFailure, type MemoryHotplug } from "@hetmem/zone";
import { BootFootprint } from "./machine/boot-footprint.ts";
import { bootMachineMemory } from "./machine/boot-memory.ts";
import { Cgroups, memoryCharging } from "./machine/cgroups.ts";
import { createDevices, type Devices } from "./machine/devices/devices.ts";
import { createHardware, type Hardware } from "./machine/devices/hardware.ts";
import { withHostRoom } from "./machine/host-room.ts";
import { MappedFiles } from "./machine/mapped-files.ts";
import { PageMigrations, poisonedPageOwner } from "./machine/page-owners.ts";
import { Processes } from "./machine/processes.ts";
import { onlinePolicyParameters, PROFILES } from "./machine/profile.ts";
import { memoryTables, processTables, systemTables } from "./machine/tables.ts";
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
  /** The hardware, which outlives a reboot: createMachine() takes it again. */
  readonly hardware: Hardware;
  readonly vfs: Vfs;
  /** The cgroups and their processes. */
  readonly cgroups: Cgroups;
  /** Programs as processes. */
  readonly processes: MachineProcesses;
  /** The rules for devices that appear. */
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
  const { iomem, memory, hotplug } = bootMachineMemory(kernel, spec, profile, parameters);
  const footprint = new BootFootprint(memory);
  const { physicalBits } = spec;
  const pagemaps = new Pagemaps({ hotplug, physicalBits, policies: profile.pagemaps });
  const { charging, memory: charged } = memoryCharging(memory, spec.options);
  const vm = new Vm(memory, { ...vmParts, charging, devices: new PagemapPages(pagemaps) });
  hotplug.notifiers.register(reserveListener(vm));
  hotplug.migration = new PageMigrations(footprint, new ProcessPageMigration(vm));
  for (const usage of spec.bootUsage) footprint.occupy(usage);
  addOfflineBlocks(hotplug, spec);

  connectPagemaps(vm, pagemaps);
  const failure = memoryFailureOf(vm, pagemaps);
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
  for (const table of [
    ...memoryTables({ spec, iomem, vm }),
    ...processTables({ profile, vm, processes }),
    ...systemTables({ spec, profile, parameters, hotplug, failure, vm }),
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

/** Bad pages of processes, of devices, and of memory that isn't in use. @see memory_failure() in mm/memory-failure.c */
function memoryFailureOf(vm: Vm, pagemaps: Pagemaps): MemoryFailure {
  const failure = new MemoryFailure(vm.memory, pagemaps.hotplug.locks);
  failure.owner = poisonedPageOwner(vm, new ProcessPoisonedPages(vm));
  failure.devices = {
    memoryFailure: (frame, current) => memoryFailureDevPagemap(pagemaps, frame, current),
  };
  vm.memoryErrors = failure;
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
