// A region's directory: /sys/devices/…/ndbus0/region0. Kernel counterpart: nd_region_attributes in drivers/nvdimm/region_devs.c.
import { isAligned, KernelError, kstrtobool, kstrtoull, PAGE_SIZE } from "@hetmem/kernel";
import type { Attribute, Params } from "@hetmem/vfs";
import type { NvdimmBus } from "../devices/bus.ts";
import { availableSize, maxAvailableExtent } from "../devices/capacity.ts";
import type { Region } from "../devices/region.ts";
import { nvdimmFlush } from "../drivers/media-io.ts";
import { adminLine, deviceFiles, joined, line, nodeFiles, regionOf, type TablePart } from "./device-files.ts";
import { CLAIM_KINDS } from "../devices/claim.ts";

const AT = "{region}/";

export function regionFiles(bus: NvdimmBus): TablePart {
  const of = (params: Params): Region => regionOf(bus, params);
  const own: TablePart = {
    files: {
      ...plainFiles(of),
      [`${AT}align`]: {
        show: (params) => `0x${of(params).align.toString(16)}\n`,
        store: (params, text) => bus.locked(() => storeAlign(of(params), kstrtoull(text))),
      },
      [`${AT}read_only`]: {
        show: (params) => `${Number(of(params).readOnly)}\n`,
        store: (params, text) => {
          of(params).readOnly = kstrtobool(text);
        },
      },
      ...seedFiles(of),
      ...conditionalFiles(bus, of),
      [`${AT}mapping{mapping}`]: line((params) => mappingText(of(params), Number(params["mapping"]))),
      [`${AT}{nfit}/range_index`]: line((params) => of(params).id + 2),
    },
    instances: {
      region: () => bus.regions.map(({ name }) => name),
      mapping: (params) => of(params).mappings.map((_mapping, i) => `${i}`),
      ...conditions(of),
    },
  };
  return joined([own, deviceFiles(AT, "regionDriver", of), nodeFiles(AT, of)]);
}

function plainFiles(of: (params: Params) => Region): NonNullable<TablePart["files"]> {
  return {
    [`${AT}size`]: line((params) => of(params).size),
    [`${AT}nstype`]: line((params) => of(params).nstype),
    [`${AT}mappings`]: line((params) => of(params).mappings.length),
    [`${AT}resource`]: adminLine((params) => `0x${of(params).start.toString(16)}`),
    [`${AT}badblocks`]: { show: (params) => expectEnabled(of(params)).badblocks.show() },
    [`${AT}init_namespaces`]: line((params) => {
      const { initNamespaces } = of(params);
      if (!initNamespaces) throw new KernelError("ENXIO", `${of(params).name} is disabled`);
      return `${initNamespaces.active}/${initNamespaces.found}`;
    }),
  };
}

function seedFiles(of: (params: Params) => Region): NonNullable<TablePart["files"]> {
  const claims = CLAIM_KINDS.map((kind): [string, Attribute] => [
    `${AT}${kind}_seed`,
    line((params) => of(params).claimSeeds[kind]?.name ?? ""),
  ]);
  return {
    ...Object.fromEntries(claims),
    [`${AT}namespace_seed`]: line((params) => of(params).namespaceSeed?.name ?? ""),
  };
}

/** Files present in some regions only. @see region_visible() */
function conditionalFiles(bus: NvdimmBus, of: (params: Params) => Region): NonNullable<TablePart["files"]> {
  return {
    [`${AT}{available_size}`]: line((params) => availableSize(of(params))),
    [`${AT}max_available_extent`]: {
      *show(params) {
        yield* bus.waitProbeIdle();
        return `${maxAvailableExtent(of(params))}\n`;
      },
    },
    [`${AT}{set_cookie}`]: line((params) => {
      const region = of(params);
      const enabled = region.mappings[0]?.dimm.data !== undefined;
      return `0x${(enabled ? region.setCookie : region.setCookie11).toString(16)}`;
    }),
    [`${AT}{persistence_domain}`]: line((params) => of(params).persistenceDomain ?? ""),
    [`${AT}{no_flush}`]: line(() => 0),
    [`${AT}{flush}`]: {
      show: () => "1\n",
      store: (params, text) => {
        if (!kstrtobool(text)) throw new KernelError("EINVAL", "a flush is asked for by writing 1");
        nvdimmFlush(of(params));
      },
    },
  };
}

function conditions(of: (params: Params) => Region): NonNullable<TablePart["instances"]> {
  const when = (name: string, holds: (region: Region) => boolean) => (params: Params) =>
    holds(of(params)) ? [name] : [];
  const hasDimms = ({ mappings }: Region): boolean => mappings.length > 0;
  return {
    available_size: when("available_size", hasDimms),
    set_cookie: when("set_cookie", hasDimms),
    persistence_domain: when(
      "persistence_domain",
      ({ persistenceDomain }) => persistenceDomain !== undefined,
    ),
    no_flush: when("deep_flush", ({ hasFlush }) => hasFlush === false),
    flush: when("deep_flush", ({ hasFlush }) => hasFlush === true),
  };
}

/** @see align_store() */
function storeAlign(region: Region, align: number): void {
  const ways = Math.max(1, region.mappings.length);
  const perDimm = align / ways;
  const isPower = Number.isInteger(perDimm) && Number.isInteger(Math.log2(perDimm));
  if (!isAligned(align, ways) || !isPower || perDimm < PAGE_SIZE || align > region.size) {
    throw new KernelError(
      "EINVAL",
      `an alignment of ${region.name} is ${ways} times a power of two, from ${ways * PAGE_SIZE} to ${region.size}`,
    );
  }
  region.align = align;
}

function mappingText({ mappings }: Region, i: number): string {
  const mapping = mappings[i];
  if (!mapping) throw new KernelError("ENXIO", `the region has no mapping ${i}`);
  return [mapping.dimm.name, mapping.start, mapping.size, mapping.position].join(",");
}

function expectEnabled(region: Region): Region {
  if (region.driver === undefined) throw new KernelError("ENXIO", `${region.name} is disabled`);
  return region;
}
