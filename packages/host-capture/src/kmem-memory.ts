// RAM that kmem had made of dax devices of a host. It isn't there at boot: the machine boots without it, and has a rule by
// which its shell makes it again. Kernel counterpart: drivers/dax/kmem.c.
import { type NodeId, PAGE_SIZE } from "@hetmem/kernel";
import type { DeviceRule, MemoryRange } from "@hetmem/machine-spec";
import type { HostDaxDevice } from "./dax-devices.ts";
import { withoutDaxLines } from "./dax-devices.ts";
import { blockRange, type Host } from "./host.ts";
import type { HostBlock } from "./memory-blocks.ts";
import type { HostZone } from "./zoneinfo.ts";

/** The host without RAM of dax devices, and without the lines of dax drivers in /proc/iomem. */
export function withoutKmem(host: Host, devices: readonly HostDaxDevice[]): Host {
  const iomem = withoutDaxLines(host.iomem, devices);
  const taken = blocksOf(host, ramRanges(devices));
  if (taken.length === 0) return { ...host, iomem };
  const ids = new Set(taken.map(({ id }) => id));
  const pages = onlinePages(host, taken);
  const zones = host.zoneinfo.zones.map((zone) =>
    withoutPages(zone, pages.get(keyOf(zone.node, zone.name)) ?? 0),
  );
  const less = (of: "managed" | "free"): number =>
    (sum(host.zoneinfo.zones, of) - sum(zones, of)) * (PAGE_SIZE / 1024);
  const meminfo = new Map(host.meminfo);
  for (const [name, of] of [
    ["MemTotal", "managed"],
    ["MemFree", "free"],
  ] as const) {
    const kilobytes = meminfo.get(name);
    if (kilobytes !== undefined) meminfo.set(name, kilobytes - less(of));
  }
  return {
    ...host,
    iomem,
    zoneinfo: { ...host.zoneinfo, zones },
    ...(host.blocks && {
      blocks: { ...host.blocks, blocks: host.blocks.blocks.filter(({ id }) => !ids.has(id)) },
    }),
    meminfo,
    nodes: host.nodes && {
      ...host.nodes,
      online: host.nodes.online.map((node) => ({
        ...node,
        blocks: node.blocks.filter((block) => !ids.has(block)),
      })),
    },
  };
}

/** Rules that make RAM of the same devices again. @param notices gets a sentence for each */
export function rulesOf(host: Host, devices: readonly HostDaxDevice[], notices: string[]): DeviceRule[] {
  return devices
    .filter(({ isRam }) => isRam)
    .map(({ name, ranges }): DeviceRule => {
      const blocks = blocksOf(host, ranges);
      const online = blocks.filter(({ state }) => state === "online");
      const option =
        online.length === 0
          ? " --no-online"
          : online.some(({ zones }) => zones.includes("Movable"))
            ? ""
            : " --no-movable";
      const run = `daxctl reconfigure-device --mode=system-ram${option} ${name}`;
      notices.push(
        `The host had made RAM of ${name}: the shell of the machine does so first, by \`${run}\`.`,
      );
      return { device: name, run };
    });
}

function ramRanges(devices: readonly HostDaxDevice[]): MemoryRange[] {
  return devices.filter(({ isRam }) => isRam).flatMap(({ ranges }) => ranges);
}

/** Memory blocks that lie in these ranges. */
function blocksOf({ blocks }: Host, ranges: readonly MemoryRange[]): HostBlock[] {
  if (!blocks) return [];
  return blocks.blocks.filter(({ id }) => {
    const block = blockRange(id, blocks.blockSize);
    return ranges.some(({ start, end }) => start <= block.start && block.end <= end);
  });
}

/** Pages of blocks that are online, by node and zone. */
function onlinePages(host: Host, blocks: readonly HostBlock[]): Map<string, number> {
  const pages = new Map<string, number>();
  for (const { id, state, zones } of blocks) {
    const node = host.nodes?.online.find((each) => each.blocks.includes(id))?.id;
    const [zone] = zones;
    if (state !== "online" || node === undefined || zone === undefined) continue;
    const key = keyOf(node, zone);
    pages.set(key, (pages.get(key) ?? 0) + (host.blocks?.blockSize ?? 0) / PAGE_SIZE);
  }
  return pages;
}

function withoutPages(zone: HostZone, pages: number): HostZone {
  if (pages === 0) return zone;
  const present = Math.max(0, zone.present - pages);
  const managed = Math.min(Math.max(0, zone.managed - pages), present);
  const spanned = present === 0 ? 0 : zone.spanned;
  return { ...zone, present, managed, spanned, free: Math.min(zone.free, managed) };
}

function keyOf(node: NodeId, zone: string): string {
  return `${node} ${zone}`;
}

function sum(zones: readonly HostZone[], of: "managed" | "free"): number {
  return zones.reduce((total, zone) => total + zone[of], 0);
}
