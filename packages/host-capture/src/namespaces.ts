// The namespaces of a host's persistent memory, from what /sys says of them: labels and info blocks can't be read there, and
// are written anew from this. Kernel counterparts: nd_namespace_attributes in drivers/nvdimm/namespace_devs.c,
// nd_pfn_attributes in pfn_devs.c, nd_btt_attributes in btt_devs.c.
import type { ClaimRecord, NamespaceRecord, Range } from "@hetmem/nvdimm";
import { chosenIn, numberIn, textIn } from "./attributes.ts";
import type { HostTree } from "./tree.ts";

/** Sectors of a btt where nobody chose. */
const BTT_SECTOR_SIZE = 4096;
const DEFAULT_ALIGN = 2 * 2 ** 20;

/**
 * @param region its directory
 * @param notices gets a sentence for what can't be carried over
 * @returns the lowest first
 */
export function readNamespaces(tree: HostTree, region: string, notices: string[]): NamespaceRecord[] {
  return tree
    .list(region)
    .filter((name) => /^namespace\d+\.\d+$/.test(name))
    .flatMap((name) => readNamespace(tree, region, name, notices))
    .sort((a, b) => a.range.start - b.range.start);
}

function readNamespace(tree: HostTree, region: string, name: string, notices: string[]): NamespaceRecord[] {
  const at = `${region}/${name}`;
  const size = numberIn(tree, `${at}/size`) ?? 0;
  // One that has no size is there to be configured next.
  if (size === 0) return [];
  const range = rangeIn(tree, at);
  if (!range) {
    notices.push(
      `${name} does not say where it is (only root may read that): the machine has free persistent memory instead.`,
    );
    return [];
  }
  const [uuid, altName] = [textIn(tree, `${at}/uuid`), textIn(tree, `${at}/alt_name`)];
  const sectorSize = chosenIn(tree, `${at}/sector_size`);
  const holder = holderOf(tree, region, name);
  const claim = holder && readClaim(tree, region, holder);
  if (holder && !claim) notices.push(`${name} was not enabled as ${holder}: the machine has it in raw mode.`);
  // Without labels and without an info block, nothing is on the media.
  if (uuid === "" && !claim) return [];
  return [
    {
      range,
      ...(uuid && { uuid }),
      ...(altName && { name: altName }),
      ...(sectorSize !== undefined && { sectorSize }),
      ...(claim && { claim }),
    },
  ];
}

/** The btt, pfn or dax that has a namespace. */
function holderOf(tree: HostTree, region: string, namespace: string): string | undefined {
  return tree
    .list(region)
    .find(
      (name) =>
        /^(btt|pfn|dax)\d+\.\d+$/.test(name) && textIn(tree, `${region}/${name}/namespace`) === namespace,
    );
}

function readClaim(tree: HostTree, region: string, name: string): ClaimRecord | undefined {
  const at = `${region}/${name}`;
  const uuid = textIn(tree, `${at}/uuid`);
  if (uuid === "") return undefined;
  if (name.startsWith("btt"))
    return { kind: "btt", uuid, sectorSize: chosenIn(tree, `${at}/sector_size`) ?? BTT_SECTOR_SIZE };
  const data = rangeIn(tree, at);
  if (!data) return undefined;
  return {
    kind: name.startsWith("dax") ? "dax" : "pfn",
    uuid,
    align: numberIn(tree, `${at}/align`) ?? DEFAULT_ALIGN,
    mode: textIn(tree, `${at}/mode`) === "ram" ? "ram" : "pmem",
    data,
  };
}

function rangeIn(tree: HostTree, device: string): Range | undefined {
  const [start, size] = [numberIn(tree, `${device}/resource`), numberIn(tree, `${device}/size`)];
  return start !== undefined && size ? { start, end: start + size } : undefined;
}
