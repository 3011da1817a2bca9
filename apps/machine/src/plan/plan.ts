// A plan: the change of a machine whose dax device becomes RAM. The change is made on a model of the machine, and the
// differences are the plan. Kernel counterparts: drivers/dax/kmem.c, mm/memory_hotplug.c, Documentation/admin-guide/mm/memory-hotplug.rst.
import { kmemCaveats, kmemRanges } from "@hetmem/dax-kmem";
import type { DevDax } from "@hetmem/dax";
import { formatBytes, KernelError, PAGE_SIZE, physAddr, physToPfn, run } from "@hetmem/kernel";
import { STRUCT_PAGE_BYTES } from "@hetmem/page";
import { type Memory, type MemoryNode, ZoneType } from "@hetmem/zone";
import type { Machine } from "../machine.ts";
import type { Plan, PlannedBlock, PlannedZone, StructPages, ZoneBytes } from "@hetmem/report";
import { planDevice } from "./plan-device.ts";
import { planWarnings } from "./plan-warnings.ts";

export interface PlanRequest {
  /** `dax0.0`, a namespace that becomes a dax device first (`namespace0.0`), or what is free of a region (`region0`). */
  readonly device: string;
  readonly zone: Plan["zone"];
}

const ZONE_NAMES: Readonly<Record<number, string>> = {
  [ZoneType.DMA]: "DMA",
  [ZoneType.DMA32]: "DMA32",
  [ZoneType.Normal]: "Normal",
  [ZoneType.Movable]: "Movable",
};

/**
 * Makes RAM of a device of a machine, which is changed by it.
 *
 * @throws KernelError ENODEV without such a device, EOPNOTSUPP on a release that can't do it, and what the kernel refuses the
 *   change with
 */
export function planSystemRam(machine: Machine, { device: name, zone }: PlanRequest): Plan {
  const { memory, hotplug, devices } = machine;
  if (!devices.dax.bus.drivers.has("kmem"))
    throw new KernelError(
      "EOPNOTSUPP",
      "this machine has no driver kmem, which makes RAM of a dax device: choose --profile v5.1 or v6.1",
    );
  const { device, namespace, commands } = planDevice(machine, name);
  const { trimmedBytes } = kmemRanges(device, hotplug.blockSize);
  const blocksBefore = new Set(hotplug.blocks.keys());
  const zonesBefore = zoneBytes(memory);
  const node = memory.nodes[device.targetNode];
  const nodeIsNew = node?.online !== true;
  const structPagesBefore = landing(machine, device);
  orShortOfMemory(machine, device, () => bindToKmem(machine, device));
  const structPages = landing(machine, device);
  const ids = [...hotplug.blocks.keys()].filter((id) => !blocksBefore.has(id)).sort((a, b) => a - b);
  // Blocks that the kernel onlined by itself stay in their zone.
  for (const id of ids)
    if (hotplug.block(id).state === "offline")
      write(machine, `/sys/devices/system/memory/memory${id}/state`, `online_${zone}`);
  const added = ids.length * hotplug.blockSize;
  const { targetNode } = device;
  const facts = {
    device: device.name,
    ...(namespace && { namespace }),
    zone,
    node: targetNode,
    nodeIsNew,
    commands: [
      ...commands,
      ["daxctl reconfigure-device --mode=system-ram", ...daxctlOptions(hotplug, zone), device.name].join(" "),
    ],
    size: device.size,
    added,
    trimmed: trimmedBytes,
    bad: device.size - trimmedBytes - added,
    zones: changedZones(zonesBefore, zoneBytes(memory), structPages),
    structPages,
    structPagesBefore,
    ratio: kernelToMovable(memory),
    blocks: ids.map((block) => plannedBlock(machine, block)),
    distances: memory.nodes.flatMap((each) =>
      each?.online
        ? [{ node: each.id, distance: memory.distance(targetNode as MemoryNode["id"], each.id) }]
        : [],
    ),
    tiers: machine.parts.memoryTiering
      ? machine.vm.tiers.tiers.map(({ id, nodes }) => ({ tier: id, nodes }))
      : [],
  };
  return { ...facts, warnings: [...planWarnings(machine, facts), ...kmemCaveats(device)] };
}

/** As daxctl does it. */
function bindToKmem(machine: Machine, { name, driver }: DevDax): void {
  if (driver?.name === "kmem") throw new KernelError("EBUSY", `${name} is RAM already`);
  if (driver) write(machine, `/sys/bus/dax/drivers/${driver.name}/unbind`, name);
  write(machine, "/sys/bus/dax/drivers/kmem/new_id", name);
  if (machine.devices.dax.bus.devices.get(name)?.driver?.name === "kmem") return;
  // The log has the number of the error; who binds by hand is told why.
  write(machine, "/sys/bus/dax/drivers/kmem/bind", name);
}

/** @throws KernelError ENOMEM that says how much there is, where struct pages find no room; else what the kernel refuses it with */
function orShortOfMemory(machine: Machine, device: DevDax, change: () => void): void {
  const { name, size } = device;
  const free = [...zoneBytes(machine.memory).values()]
    .filter(({ zone }) => zone !== "Movable")
    .reduce((sum, zone) => sum + zone.free, landing(machine, device).bytes);
  try {
    change();
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === "ENOMEM")) throw error;
    const needed = (size / PAGE_SIZE) * STRUCT_PAGE_BYTES;
    const why =
      needed > free
        ? `its struct pages need ${formatBytes(needed)}, and ${formatBytes(free)} of the kernel's memory are free`
        : error.reason;
    throw new KernelError("ENOMEM", `${name} can't become RAM here: ${why}`);
  }
}

/** Where the kernel takes memory online by itself, daxctl wants to be forced. */
function daxctlOptions({ autoOnline }: Machine["hotplug"], zone: PlanRequest["zone"]): string[] {
  return [...(zone === "kernel" ? ["--no-movable"] : []), ...(autoOnline === "offline" ? [] : ["-f"])];
}

function write(machine: Machine, path: string, text: string): void {
  run(machine.vfs.write(path, text));
}

function* zonesOf(memory: Memory): Generator<{ node: MemoryNode; type: number; name: string }> {
  for (const node of memory.nodes)
    if (node) for (const [type, name] of Object.entries(ZONE_NAMES)) yield { node, type: Number(type), name };
}

type ZoneTable = ReadonlyMap<string, ZoneBytes & { readonly node: number; readonly zone: string }>;

function zoneBytes(memory: Memory): ZoneTable {
  const table = new Map<string, ZoneBytes & { node: number; zone: string }>();
  for (const { node, type, name } of zonesOf(memory)) {
    const zone = node.zones[type];
    if (!zone) continue;
    table.set(`${node.id} ${name}`, {
      present: zone.presentPages * PAGE_SIZE,
      managed: zone.managedPages * PAGE_SIZE,
      free: zone.freePages * PAGE_SIZE,
      node: node.id,
      zone: name,
    });
  }
  return table;
}

/** Zones that get memory, and those whose memory the struct pages take. */
function changedZones(before: ZoneTable, after: ZoneTable, { nodes }: StructPages): PlannedZone[] {
  const none = { present: 0, managed: 0, free: 0 };
  return [...after].flatMap(([key, { node, zone, present, managed, free }]) => {
    const was = before.get(key) ?? none;
    const grew = was.present !== present || was.managed !== managed;
    const pays = was.free !== free && nodes.some((each) => each.node === node);
    if (!grew && !pays) return [];
    return [
      {
        node,
        zone,
        before: { present: was.present, managed: was.managed, free: was.free },
        after: { present, managed, free },
      },
    ];
  });
}

/** Which nodes' RAM the struct pages of a device's memory fill now. */
function landing({ hotplug }: Machine, { ranges }: DevDax): StructPages {
  const frames = new Map<number, number>();
  for (const { start, end } of ranges) {
    const [first, behind] = [physToPfn(physAddr(start)), physToPfn(physAddr(end + 1))];
    for (const [node, count] of hotplug.vmemmap.framesByNode(first, behind))
      frames.set(node, (frames.get(node) ?? 0) + count);
  }
  const nodes = [...frames].map(([node, count]) => ({ node, bytes: count * PAGE_SIZE }));
  return { bytes: nodes.reduce((sum, { bytes }) => sum + bytes, 0), nodes };
}

/** @see "Considerations (Sizing)" in the kernel's guide to memory hotplug */
function kernelToMovable(memory: Memory): Plan["ratio"] {
  let [kernel, movable] = [0, 0];
  for (const { node, type } of zonesOf(memory)) {
    const bytes = (node.zones[type]?.presentPages ?? 0) * PAGE_SIZE;
    if (type === ZoneType.Movable) movable += bytes;
    else kernel += bytes;
  }
  return { kernel, movable, advice: adviceFor(movable / kernel) };
}

function adviceFor(ratio: number): string {
  if (ratio === 0)
    return "nothing is movable: the kernel may use all of it, and none of it is sure to go offline later";
  if (ratio <= 1) return "safe: at least half of the memory is the kernel's to use";
  if (ratio <= 4)
    return "usually fine: three or four times as much movable as kernel memory works for most workloads";
  if (ratio < 63) return "risky: the kernel may run out of memory for itself while movable memory is free";
  return "impossible: the struct pages alone would fill the kernel's memory";
}

function plannedBlock(machine: Machine, block: number): PlannedBlock {
  const start = block * machine.hotplug.blockSize;
  const text = run(machine.vfs.read(`/sys/devices/system/memory/memory${block}/valid_zones`)).trim();
  const canRemove = text === "Movable";
  return {
    block,
    start,
    zone: text,
    canGoOffline: canRemove,
    why: canRemove
      ? "it holds only what can be moved, as long as nobody pins pages for long"
      : "the kernel may put slabs, stacks and page tables there, which nothing can move",
  };
}
