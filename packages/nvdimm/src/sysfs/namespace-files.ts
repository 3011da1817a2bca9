// The directories of namespaces and claims: /sys/devices/…/region0/namespace0.0, btt0.0, pfn0.0 and dax0.0. Kernel
// counterpart: nd_namespace_attributes in drivers/nvdimm/namespace_devs.c, nd_pfn_attributes in pfn_devs.c,
// nd_btt_attributes in btt_devs.c.
import { KernelError, kstrtobool, kstrtoull } from "@hetmem/kernel";
import type { Attribute, Params } from "@hetmem/vfs";
import type { NvdimmBus } from "../devices/bus.ts";
import { BTT_SECTOR_SIZES, type Claim, type ClaimKind, PFN_ALIGNMENTS } from "../devices/claim.ts";
import { dpaOf } from "../devices/dimm.ts";
import type { Namespace, NamespaceKind } from "../devices/namespace.ts";
import {
  PMEM_SECTOR_SIZES,
  storeAltName,
  storeHolderClass,
  storeSectorSize,
  storeSize,
  storeUuid,
} from "../drivers/configure.ts";
import {
  storeClaimAlign,
  storeClaimMode,
  storeClaimNamespace,
  storeClaimSectorSize,
  storeClaimUuid,
} from "../drivers/configure-claim.ts";
import type { Range } from "../errors/range-set.ts";
import { dataRange } from "../drivers/setup-pfn.ts";
import { blockFiles } from "./block-files.ts";
import { adminLine, deviceFiles, joined, line, nodeFiles, regionOf, type TablePart } from "./device-files.ts";

/** Files of namespaces, which differ with and without labels. */
export function namespaceFiles(bus: NvdimmBus): TablePart {
  return joined([
    ofKind(bus, "io", (of, at) => ({ [`${at}size`]: line((params) => of(params).size) })),
    ofKind(bus, "pmem", labelFiles),
  ]);
}

export function claimFiles(bus: NvdimmBus): TablePart {
  return joined([
    ofClaimKind(bus, "btt", bttFiles),
    ofClaimKind(bus, "pfn", pfnFiles),
    ofClaimKind(bus, "dax", pfnFiles),
  ]);
}

type Of<T> = (params: Params) => T;
type Files = Record<string, Attribute>;

function ofKind(
  bus: NvdimmBus,
  kind: NamespaceKind,
  files: (of: Of<Namespace>, at: string) => Files,
): TablePart {
  const parameter = `${kind}Namespace`;
  const at = `{region}/{${parameter}}/`;
  const of = (params: Params): Namespace => bus.namespace(params[parameter] ?? "");
  const own: TablePart = {
    files: { ...commonFiles(of, at), ...files(of, at) },
    instances: {
      [parameter]: (params) =>
        [...regionOf(bus, params).namespaces.values()]
          .filter((one) => one.kind === kind)
          .map(({ name }) => name),
    },
  };
  return joined([
    own,
    deviceFiles(at, `${kind}Driver`, of),
    nodeFiles(at, (params) => regionOf(bus, params)),
    blockFiles(at, `${kind}Disk`, (params) => of(params).disk),
  ]);
}

function commonFiles(of: Of<Namespace>, at: string): Files {
  return {
    [`${at}nstype`]: line((params) => of(params).region.nstype),
    [`${at}mode`]: line((params) => of(params).mode),
    [`${at}holder`]: line((params) => of(params).claim?.name ?? ""),
    [`${at}holder_class`]: {
      show: (params) => `${holderClass(of(params))}\n`,
      store: (params, text) => storeHolderClass(of(params), text),
    },
    [`${at}force_raw`]: {
      show: (params) => `${Number(of(params).forceRaw)}\n`,
      store: (params, text) => {
        of(params).forceRaw = kstrtobool(text);
      },
    },
    [`${at}resource`]: adminLine((params) => {
      const { size, range, name } = of(params);
      if (size === 0) throw new KernelError("ENXIO", `${name} has no size, and so no address`);
      return `0x${range.start.toString(16)}`;
    }),
  };
}

function labelFiles(of: Of<Namespace>, at: string): Files {
  return {
    [`${at}size`]: {
      show: (params) => `${of(params).size}\n`,
      store: (params, text) => storeSize(of(params), kstrtoull(text)),
    },
    [`${at}uuid`]: {
      show: (params) => `${of(params).uuid ?? ""}\n`,
      store: (params, text) => storeUuid(of(params), text),
    },
    [`${at}alt_name`]: {
      show: (params) => `${of(params).altName}\n`,
      store: (params, text) => storeAltName(of(params), text),
    },
    [`${at}sector_size`]: {
      show: (params) => choiceText(PMEM_SECTOR_SIZES, of(params).lbaSize),
      store: (params, text) => storeSectorSize(of(params), numberIn(text)),
    },
    [`${at}dpa_extents`]: line((params) => {
      const { region, uuid } = of(params);
      return region.mappings.filter(({ dimm }) => uuid !== undefined && dimm.data && dpaOf(dimm.data, uuid))
        .length;
    }),
  };
}

function ofClaimKind(
  bus: NvdimmBus,
  kind: ClaimKind,
  files: (of: Of<Claim>, at: string) => Files,
): TablePart {
  const at = `{region}/{${kind}}/`;
  const of = (params: Params): Claim => {
    const claim = regionOf(bus, params).claims.get(params[kind] ?? "");
    if (!claim) throw new KernelError("ENODEV", `${params[kind]} is gone`);
    return claim;
  };
  const own: TablePart = {
    files: {
      ...files(of, at),
      [`${at}namespace`]: {
        show: (params) => `${of(params).namespace?.name ?? ""}\n`,
        store: (params, text) => storeClaimNamespace(of(params), text),
      },
      [`${at}uuid`]: {
        show: (params) => `${of(params).uuid ?? ""}\n`,
        store: (params, text) => storeClaimUuid(of(params), text),
      },
    },
    instances: {
      [kind]: (params) =>
        [...regionOf(bus, params).claims.values()].filter((one) => one.kind === kind).map(({ name }) => name),
    },
  };
  return joined([
    own,
    deviceFiles(at, `${kind}Driver`, of),
    nodeFiles(at, (params) => regionOf(bus, params)),
    blockFiles(at, `${kind}Disk`, (params) => of(params).disk),
  ]);
}

function bttFiles(of: Of<Claim>, at: string): Files {
  return {
    [`${at}log_zero_flags`]: line(() => "Y"),
    [`${at}sector_size`]: {
      show: (params) => choiceText(BTT_SECTOR_SIZES, of(params).sectorSize),
      store: (params, text) => storeClaimSectorSize(of(params), numberIn(text)),
    },
    [`${at}size`]: line((params) => {
      const { disk, name } = of(params);
      if (!disk) throw new KernelError("ENXIO", `${name} is disabled, and has no size`);
      return disk.size;
    }),
  };
}

function pfnFiles(of: Of<Claim>, at: string): Files {
  return {
    [`${at}mode`]: {
      show: (params) => `${of(params).mode}\n`,
      store: (params, text) => storeClaimMode(of(params), text),
    },
    [`${at}align`]: {
      show: (params) => `${of(params).align}\n`,
      store: (params, text) => storeClaimAlign(of(params), numberIn(text)),
    },
    [`${at}supported_alignments`]: { show: () => choiceText(PFN_ALIGNMENTS, 0) },
    [`${at}resource`]: adminLine((params) => `0x${dataOf(of(params)).start.toString(16)}`),
    [`${at}size`]: line((params) => {
      const { start, end } = dataOf(of(params));
      return end - start;
    }),
  };
}

/** The data area of a claim. @throws KernelError ENXIO while it is disabled */
function dataOf({ name, namespace, dax, disk }: Claim): Range {
  if (dax && namespace) return dataRange(namespace, dax.block);
  if (!disk) throw new KernelError("ENXIO", `${name} is disabled, and has no address`);
  return disk.data;
}

function holderClass({ claimClass }: Namespace): string {
  if (claimClass === "none") return "";
  if (claimClass === "btt2") return "btt";
  return claimClass === "unknown" ? "<unknown>" : claimClass;
}

/** All choices on one line, the current one in brackets. @see nd_size_select_show() */
function choiceText(choices: readonly number[], choice: number): string {
  return `${choices.map((one) => (one === choice ? `[${one}] ` : `${one} `)).join("")}\n`;
}

/**
 * The number that is written to a file of choices. Text that is no number gives NaN, which is no choice: the file is refused to a device in
 * use before its text is looked at.
 *
 * @see nd_size_select_store()
 */
function numberIn(text: string): number {
  try {
    return kstrtoull(text);
  } catch (error) {
    if (error instanceof KernelError) return Number.NaN;
    throw error;
  }
}
