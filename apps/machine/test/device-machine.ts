// A small machine with device memory: RAM on one node, a device that another node belongs to, and all that can be told about
// it from outside and from inside.
import { assertInvariants, KernelError, run } from "@hetmem/kernel";
import { type DaxDriver, daxInvariants } from "@hetmem/dax";
import { Kmem } from "@hetmem/dax-kmem";
import { pagemapInvariants, quickPagemapInvariants } from "@hetmem/memremap";
import { vmInvariants } from "@hetmem/mm";
import { type Namespace, type NvdimmBus, nvdimmInvariants } from "@hetmem/nvdimm";
import { formatIomem, resourceInvariants } from "@hetmem/resource";
import { vfsInvariants } from "@hetmem/vfs";
import { allZones, memoryInvariants, quickInvariants } from "@hetmem/zone";
import { createMachine, type Machine } from "../src/machine.ts";
import { machineOfYaml, type MachineSpec, type ProfileName } from "@hetmem/machine-spec";

export const DAX = "dax0.0";
/** Node of the devices' memory, when it is RAM. */
export const DEVICE_NODE = 1;

/** @param devices as a machine file lists them */
export function specWith(devices: string, profile: ProfileName = "v6.1"): MachineSpec {
  return machineOfYaml(
    `name: devices
options: {}
physical_bits: 36
max_memory: 512M
nodes:
  - { memory: 64M, cpus: 0 }
  - { cpus: [] }
distances: [[10, 17], [17, 10]]
devices:
  - { ${devices} }
`,
    "devices.yaml",
    profile,
  );
}

const MODULE = specWith(
  "name: Persistent Memory, start: 4G, size: 256M, node: 1, modules: 1, persistence_domain: memory_controller",
);

export interface CycleMachine extends Machine {
  readonly nvdimm: NvdimmBus;
}

export function cycleMachine(): CycleMachine {
  const machine = createMachine(MODULE);
  const { nvdimm } = machine.devices;
  if (!nvdimm) throw new Error("the machine has no persistent memory");
  return { ...machine, nvdimm };
}

export function namespaceOf({ nvdimm }: CycleMachine): Namespace {
  return nvdimm.namespace("namespace0.0");
}

/**
 * What programs could read of the machine, but for what differs although nothing is left behind:
 * - events, which are counted for ever: numa_hit and its like, in vmstat all from pgpgin on, pgfault of cgroups;
 * - which of the free pages lie where: on a processor's own list, or in blocks of which order and migrate type. countersOf()
 *   has their sum;
 * - watermarks, and what is worked out from them. Each time that a block comes or goes they are worked out anew from the
 *   pages above the high watermarks of the time before, so that they hang between two values;
 * - reserves of overcommit, which are worked out anew from what is free at the time.
 *
 * @see nr_free_zone_pages() in mm/page_alloc.c, reserve_mem_notifier() in mm/mmap.c
 */
export function exportedTree({ vfs }: Machine): string[] {
  const texts: string[] = [];
  for (const root of ["/proc", "/sys", "/dev"])
    for (const { path, kind, target } of vfs.walk(root))
      if (!/^\/proc\/(?:buddyinfo|pagetypeinfo|sys\/vm\/\w+_reserve_kbytes)$/.test(path))
        texts.push(`${path} ${kind === "file" ? textOf(vfs, path) : (target ?? "")}`);
  return texts;
}

const NOT_COMPARED = new RegExp(
  `^ *(?:${[
    "numa_\\w+|local_node|other_node|interleave_hit|pg\\w+",
    "pages free|nr_free_pages|count:|Node \\d+ Mem(?:Free|Used):|Mem(?:Free|Available):",
    "min|low|high:?|nr_dirty_(?:background_)?threshold",
  ].join("|")}) .*\n`,
  "gm",
);

function textOf(vfs: Machine["vfs"], path: string): string {
  try {
    const text = run(vfs.read(path));
    return /(?:stat|zoneinfo|meminfo)$/.test(path)
      ? text.replace(/^pgpgin [^]*/m, "").replaceAll(NOT_COMPARED, "")
      : text;
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
}

/** What only the kernel itself could tell: pages, references, locks, numbers that are taken. */
export function countersOf(machine: Machine): unknown {
  const { memory, hotplug, vm, iomem, kernel } = machine;
  const { pagemaps, dax, nvdimm } = machine.devices;
  return {
    zones: [...allZones(memory)].map((zone) => [
      zone.node,
      zone.name,
      zone.empty ? 0 : zone.startPfn,
      zone.spannedPages,
      zone.presentPages,
      zone.managedPages,
      zone.freePages + zone.pcp.reduce((count, pcp) => count + pcp.count, 0),
    ]),
    sections: memory.memmap.sections.present(),
    blocks: [...hotplug.blocks.values()].map(({ id, state, node }) => [id, state, node]),
    vmemmap: hotplug.vmemmap.framesInUse,
    groups: hotplug.groups.count,
    tiers: vm.tiers.tiers.map(({ nodes }) => nodes),
    pagemaps: pagemaps
      .mapped()
      .map(({ name, ref }) => `${name} ${ref.count}`)
      .sort(),
    isTreeEmpty: pagemaps.tree.empty,
    memtypes: pagemaps.memtypes.count,
    daxDevices: [...dax.bus.devices.values()].map(({ name, minor, driver, alive, lock }) => [
      name,
      minor,
      driver?.name,
      alive,
      lock.locked,
    ]),
    stuck: stuckRanges(dax.bus.drivers.get("kmem")),
    namespaces: nvdimm
      ?.namespaces()
      .map(({ name, size, uuid, driver, claim }) => [name, size, uuid === undefined, driver, claim?.name]),
    claims: nvdimm?.claims().map(({ name, driver }) => [name, driver]),
    labels: nvdimm?.dimms.map(({ data }) => data?.labels.freeSlots),
    probes: nvdimm?.probesActive,
    resources: formatIomem(iomem, { privileged: true }),
    processes: [...vm.processes].length,
    held: kernel.lockdep.current.held,
  };
}

/** The rules that are cheap to look at. */
export function assertQuickInvariants(machine: CycleMachine): void {
  assertInvariants(machine.memory, quickInvariants);
  assertInvariants(machine.iomem, resourceInvariants);
  assertInvariants(machine.nvdimm, nvdimmInvariants);
  assertInvariants(machine.devices.pagemaps, quickPagemapInvariants);
  assertInvariants(machine.devices.dax.bus, daxInvariants);
}

/** Every rule that every package has. */
export function assertAllInvariants(machine: CycleMachine): void {
  assertInvariants(machine.memory, memoryInvariants);
  assertInvariants(machine.iomem, resourceInvariants);
  assertInvariants(machine.vm, vmInvariants);
  assertInvariants(machine.vfs, vfsInvariants);
  assertInvariants(machine.nvdimm, nvdimmInvariants);
  assertInvariants(machine.devices.pagemaps, pagemapInvariants);
  assertInvariants(machine.devices.dax.bus, daxInvariants);
}

function stuckRanges(driver: DaxDriver | undefined): number | undefined {
  return driver instanceof Kmem ? driver.stuck.length : undefined;
}
