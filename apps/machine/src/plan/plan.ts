// What becomes of a machine when a dax device becomes RAM: the change is made on a model of it, and what differs is the
// plan. Kernel counterparts: drivers/dax/kmem.c, mm/memory_hotplug.c, Documentation/admin-guide/mm/memory-hotplug.rst.
import { kmemCaveats, kmemRanges } from "@hetmem/dax-kmem";
import type { DevDax } from "@hetmem/dax";
import { KernelError, PAGE_SIZE, physAddr, physToPfn, run } from "@hetmem/kernel";
import { reconfigureNamespace } from "@hetmem/nvdimm";
import { type Memory, type MemoryNode, ZoneType } from "@hetmem/zone";
import type { Machine } from "../machine.ts";
import { planWarnings } from "./plan-warnings.ts";

export interface PlanRequest {
  /** `dax0.0`, or a namespace that becomes a dax device first: `namespace0.0`. */
  readonly device: string;
  readonly zone: "movable" | "kernel";
}

/** Bytes of a zone. */
export interface ZoneBytes {
  readonly present: number;
  readonly managed: number;
}

export interface PlannedZone {
  readonly node: number;
  readonly zone: string;
  readonly before: ZoneBytes;
  readonly after: ZoneBytes;
}

export interface PlannedBlock {
  /** The N of memoryN. */
  readonly block: number;
  /** First byte. */
  readonly start: number;
  readonly zone: string;
  readonly canGoOffline: boolean;
  readonly why: string;
}

export interface Plan {
  readonly device: string;
  readonly zone: PlanRequest["zone"];
  readonly node: number;
  /** Bytes of the device, of it that become RAM, and that don't fill a memory block. */
  readonly size: number;
  readonly added: number;
  readonly trimmed: number;
  /** Zones of which something changes. */
  readonly zones: readonly PlannedZone[];
  readonly structPages: { readonly bytes: number; readonly lands: string };
  readonly ratio: { readonly kernel: number; readonly movable: number; readonly advice: string };
  readonly blocks: readonly PlannedBlock[];
  readonly distances: readonly { readonly node: number; readonly distance: number }[];
  /** Nodes by tier, the fastest first; empty where the release shows no tiers. */
  readonly tiers: readonly { readonly tier: number; readonly nodes: readonly number[] }[];
  readonly warnings: readonly string[];
}

const STRUCT_PAGE_BYTES = 64;
const ZONE_NAMES: Readonly<Record<number, string>> = {
  [ZoneType.DMA]: "DMA",
  [ZoneType.DMA32]: "DMA32",
  [ZoneType.Normal]: "Normal",
  [ZoneType.Movable]: "Movable",
};

/**
 * Makes RAM of a device of a machine, which is changed by it.
 *
 * @throws KernelError ENODEV without such a device, and what the kernel refuses the change with
 */
export function planSystemRam(machine: Machine, { device: name, zone }: PlanRequest): Plan {
  const device = findDevice(machine, name);
  const { memory, hotplug, devices } = machine;
  const { usable, trimmedBytes } = kmemRanges(device, hotplug.blockSize);
  const added = usable.reduce((bytes, { start, end }) => bytes + end - start + 1, 0);
  const blocksBefore = new Set(hotplug.blocks.keys());
  const zonesBefore = zoneBytes(memory);
  bindToKmem(machine, device);
  const bytes = (added / PAGE_SIZE) * STRUCT_PAGE_BYTES;
  const structPages = { bytes, lands: landing(machine, usable) };
  const ids = [...hotplug.blocks.keys()].filter((id) => !blocksBefore.has(id)).sort((a, b) => a - b);
  for (const id of ids) write(machine, `/sys/devices/system/memory/memory${id}/state`, `online_${zone}`);
  const zones = changedZones(zonesBefore, zoneBytes(memory));
  const ratio = kernelToMovable(memory);
  const { targetNode } = device;
  return {
    device: device.name,
    zone,
    node: targetNode,
    size: device.size,
    added,
    trimmed: trimmedBytes,
    zones,
    structPages,
    ratio,
    blocks: ids.map((block) => plannedBlock(machine, block, zone)),
    distances: memory.nodes.flatMap((node) =>
      node?.online
        ? [{ node: node.id, distance: memory.distance(targetNode as MemoryNode["id"], node.id) }]
        : [],
    ),
    tiers: devices.memoryTypes.tiers().map(({ id, nodes }) => ({ tier: id, nodes })),
    warnings: [
      ...planWarnings(machine, { zone, trimmed: trimmedBytes, ratio, zones }),
      ...kmemCaveats(device),
    ],
  };
}

/** The device of that name; a namespace becomes one first. */
function findDevice({ devices }: Machine, name: string): DevDax {
  const { dax, nvdimm } = devices;
  const namespace = nvdimm?.namespaces().find((each) => each.name === name);
  if (namespace && namespace.claim?.kind !== "dax")
    run(reconfigureNamespace(namespace, { mode: "devdax", force: true }));
  const claim = nvdimm?.namespaces().find((each) => each.name === name)?.claim;
  const device = [...dax.bus.devices.values(), ...dax.bus.classDevices.values()].find(
    (each) => each.name === name || (claim && `/${each.region.parent.devpath}` === claim.path),
  );
  if (device) return device;
  const known = [...dax.bus.devices.keys(), ...(nvdimm?.namespaces() ?? []).map((each) => each.name)];
  throw new KernelError(
    "ENODEV",
    `there is no ${name} on this machine: ${known.length > 0 ? `name one of ${known.join(", ")}` : "it has no dax device and no persistent memory"}`,
  );
}

/** As daxctl does it. */
function bindToKmem(machine: Machine, { name, driver }: DevDax): void {
  if (!machine.devices.dax.kmem)
    throw new KernelError(
      "EOPNOTSUPP",
      "this release can't make RAM of a dax device: choose --profile v5.1 or v6.1",
    );
  if (driver?.name === "kmem") throw new KernelError("EBUSY", `${name} is RAM already`);
  if (driver) write(machine, `/sys/bus/dax/drivers/${driver.name}/unbind`, name);
  write(machine, "/sys/bus/dax/drivers/kmem/new_id", name);
  if (machine.devices.dax.bus.devices.get(name)?.driver?.name === "kmem") return;
  const { records } = machine.kernel.log;
  const said = records.findLast(({ text }) => text.includes(name))?.text ?? "";
  throw new KernelError("EINVAL", `kmem does not take ${name}: ${said}`);
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
    const bytes = { present: zone.presentPages * PAGE_SIZE, managed: zone.managedPages * PAGE_SIZE };
    table.set(`${node.id} ${name}`, { ...bytes, node: node.id, zone: name });
  }
  return table;
}

function changedZones(before: ZoneTable, after: ZoneTable): PlannedZone[] {
  const none = { present: 0, managed: 0 };
  return [...after].flatMap(([key, { node, zone, present, managed }]) => {
    const was = before.get(key) ?? none;
    if (was.present === present && was.managed === managed) return [];
    return [
      { node, zone, before: { present: was.present, managed: was.managed }, after: { present, managed } },
    ];
  });
}

/** Which nodes' RAM the struct pages of the new memory fill. */
function landing({ hotplug }: Machine, ranges: ReturnType<typeof kmemRanges>["usable"]): string {
  const frames = new Map<number, number>();
  for (const { start, end } of ranges) {
    const [first, behind] = [physToPfn(physAddr(start)), physToPfn(physAddr(end + 1))];
    for (const [node, count] of hotplug.vmemmap.framesByNode(first, behind))
      frames.set(node, (frames.get(node) ?? 0) + count);
  }
  if (frames.size === 0) return "in the added memory itself";
  const parts = [...frames].map(
    ([node, count]) => `node ${node}${frames.size > 1 ? ` (${count} pages)` : ""}`,
  );
  return `in RAM of ${parts.join(" and ")}`;
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

function plannedBlock(machine: Machine, block: number, zone: PlanRequest["zone"]): PlannedBlock {
  const start = block * machine.hotplug.blockSize;
  const text = run(machine.vfs.read(`/sys/devices/system/memory/memory${block}/valid_zones`)).trim();
  const canRemove = zone === "movable" && text === "Movable";
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
