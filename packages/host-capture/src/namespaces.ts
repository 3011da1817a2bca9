// The namespaces of a host's persistent memory, from their attributes in /sys. Labels and info blocks can't be read there: the
// machine writes them anew from these records. Kernel counterparts: nd_namespace_attributes in drivers/nvdimm/namespace_devs.c,
// nd_pfn_attributes in pfn_devs.c, nd_btt_attributes in btt_devs.c.
import type { ClaimRecord, NamespaceRecord, Range } from "@hetmem/nvdimm";
import { chosenIn, numberIn, textIn } from "./attributes.ts";
import type { HostTree } from "./tree.ts";

/** Bytes of a sector of a btt by default. */
const BTT_SECTOR_SIZE = 4096;
const DEFAULT_ALIGN = 2 * 2 ** 20;

/**
 * @param region its directory
 * @param notices gets a sentence for each namespace that can't be carried over
 * @returns by ascending address
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
  // A namespace without a size is the seed device, which becomes the next namespace.
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
  // Without a label and without an info block there is nothing to write anew.
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

/** The name of the btt, pfn or dax device that claims a namespace. */
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
