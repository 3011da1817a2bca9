// One pass over all charged pages: the contents, node and device of each. It is the second half of an attribution; the first
// is mapped-pages.ts, which goes over page tables. The nearest thing to it around the kernel is tools/vm/page-types.c with --cgroup.
import type { NodeId, Page } from "@hetmem/kernel";
import type { MemoryCgroup, MemoryCgroups } from "@hetmem/memcg";
import type { Vm } from "@hetmem/mm";
import type { AddressSpace, MappedFile } from "@hetmem/mm/file";
import { MAPPING_ANON, pageMapcount } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { ShmemInode } from "@hetmem/page-cache";
import { ZoneType } from "@hetmem/zone";
import type { CgroupScope } from "./scope.ts";

/** Pages of one kind: "anonymous memory", "page tables", a file. */
export interface NamedPart {
  readonly name: string;
  readonly pages: number;
}

export interface NodePart {
  readonly node: NodeId;
  readonly pages: number;
  /** Of those, pages of devices. */
  readonly ofDevices: number;
}

export interface DevicePart {
  readonly device: string;
  readonly memory: "private" | "coherent" | "public" | "fsdax";
  readonly pages: number;
}

/** Names that only the owner of the machine knows. */
export interface AttributionNames {
  /** The name of the device that a frame belongs to; undefined: the report uses the type of its memory. */
  device?(pfn: number): string | undefined;
  /** The path of a file that no process maps; undefined: the report uses its inode number. */
  file?(file: MappedFile): string | undefined;
}

export interface ChargedPages {
  readonly pages: number;
  readonly unmapped: number;
  readonly byCgroup: ReadonlyMap<MemoryCgroup, number>;
  /** The largest first. */
  readonly holdings: readonly NamedPart[];
  readonly nodes: readonly NodePart[];
  readonly devices: readonly DevicePart[];
}

/**
 * Counts the pages of a scope.
 *
 * @param fileNames paths of files by mapping, from the processes that map them
 */
export function countChargedPages(
  memcgs: MemoryCgroups,
  scope: CgroupScope,
  fileNames: ReadonlyMap<AddressSpace, string>,
  names: AttributionNames,
): ChargedPages {
  const { vm, ids, owners } = memcgs;
  const { memmap } = vm;
  const byCgroup = new Map<MemoryCgroup, number>();
  const holdings = new Map<string, number>();
  const nodes = new Map<NodeId, number>();
  const onDevices = new Map<NodeId, number>();
  const devices = new Map<string, DevicePart>();
  let pages = 0;
  let unmapped = 0;
  // The path of a file is looked up once, not for each of its pages.
  const paths = new Map(fileNames);
  const fileName = (mapping: AddressSpace): string => {
    const name = paths.get(mapping) ?? names.file?.(mapping.host) ?? inodeName(mapping);
    paths.set(mapping, name);
    return name;
  };
  for (let at = 0; at < owners.length; at++) {
    const id = owners[at] as number;
    if (id === 0 || !scope.pays(id)) continue;
    const page = at as Page;
    pages++;
    if (memmap.test(page, PageFlag.table) || pageMapcount(memmap, page) === 0) unmapped++;
    add(byCgroup, ids.cgroup(id));
    add(nodes, memmap.nodeOf(page));
    add(holdings, holdingOf(vm, page, ids.kernel[id] === 1, fileName));
    if (memmap.zoneOf(page) !== ZoneType.Device) continue;
    add(onDevices, memmap.nodeOf(page));
    addDevice(devices, vm, page, names);
  }
  const bySize = (a: NamedPart, b: NamedPart): number => b.pages - a.pages;
  return {
    pages,
    unmapped,
    byCgroup,
    holdings: [...holdings].map(([name, count]) => ({ name, pages: count })).sort(bySize),
    nodes: [...nodes]
      .map(([node, count]) => ({ node, pages: count, ofDevices: onDevices.get(node) ?? 0 }))
      .sort((a, b) => a.node - b.node),
    devices: [...devices.values()],
  };
}

function holdingOf(
  vm: Vm,
  page: Page,
  ofKernel: boolean,
  fileName: (mapping: AddressSpace) => string,
): string {
  const { memmap } = vm;
  if (memmap.test(page, PageFlag.table)) return "page tables";
  if (ofKernel) return "kernel stacks";
  const mapping = vm.mappings.of(memmap, page);
  if (mapping) return fileName(mapping);
  if ((memmap.mapping(memmap.compoundHead(page)) & MAPPING_ANON) === 0) return "pages on their way";
  return pageMapcount(memmap, page) === 0 ? "anonymous memory that nobody maps" : "anonymous memory";
}

/** The name of a file without a known path: its device and inode number. */
function inodeName({ host }: AddressSpace): string {
  const { number, device } = host;
  return `${host instanceof ShmemInode ? "shared memory" : "file"} ${device.major}:${device.minor} inode ${number}`;
}

function addDevice(devices: Map<string, DevicePart>, vm: Vm, page: Page, names: AttributionNames): void {
  const memory = typeOf(vm, page);
  const device = names.device?.(vm.memmap.pageToPfn(page)) ?? `${memory} memory of a device`;
  const key = `${memory} ${device}`;
  devices.set(key, { device, memory, pages: (devices.get(key)?.pages ?? 0) + 1 });
}

function typeOf({ devices }: Vm, page: Page): DevicePart["memory"] {
  if (devices.isPrivate(page)) return "private";
  if (devices.isCoherent(page)) return "coherent";
  return devices.isPublic(page) ? "public" : "fsdax";
}

function add<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
