// The block device of a namespace: /sys/devices/…/namespace0.0/block/pmem0, with the files that describe its memory.
// Kernel counterpart: disk_attrs in block/genhd.c, queue_attrs in block/blk-sysfs.c, dax_attributes in
// drivers/nvdimm/pmem.c.
import { KernelError } from "@hetmem/kernel";
import type { Params } from "@hetmem/vfs";
import type { PmemDisk } from "../drivers/pmem-disk.ts";
import { SECTOR_SIZE } from "../errors/badblocks.ts";
import { BLOCK_EXT_MAJOR, line, type TablePart } from "./device-files.ts";

/**
 * @param at pattern of the parent directory, ending in a slash
 * @param parameter name of the pattern parameter that holds the disk's name
 */
export function blockFiles(
  at: string,
  parameter: string,
  diskOf: (params: Params) => PmemDisk | undefined,
): TablePart {
  const disk = `${at}{${parameter}Directory}/{${parameter}}/`;
  const of = (params: Params): PmemDisk => {
    const found = diskOf(params);
    if (!found) throw new KernelError("ENODEV", "the disk is gone");
    return found;
  };
  const values: Readonly<Record<string, (one: PmemDisk) => string | number>> = {
    alignment_offset: () => 0,
    dev: (one) => `${BLOCK_EXT_MAJOR}:${minorOf(one)}`,
    ext_range: () => 256,
    hidden: () => 0,
    range: () => 0,
    removable: () => 0,
    ro: ({ region }) => Number(region.readOnly),
    size: ({ size }) => size / SECTOR_SIZE,
    "dax/write_cache": ({ region }) => Number(region.persistenceDomain !== "cpu_cache"),
    "queue/dax": ({ name, data, region }) => Number(isMapped(name, data.start, region.start)),
    "queue/fua": ({ region }) => Number(region.hasFlush === true),
    "queue/hw_sector_size": ({ sectorSize }) => sectorSize,
    "queue/logical_block_size": ({ sectorSize }) => sectorSize,
    "queue/minimum_io_size": () => 4096,
    "queue/physical_block_size": () => 4096,
    "queue/rotational": () => 0,
    "queue/write_cache": () => "write back",
  };
  return {
    files: {
      ...Object.fromEntries(
        Object.entries(values).map(([name, show]) => [`${disk}${name}`, line((params) => show(of(params)))]),
      ),
      [`${disk}badblocks`]: { show: (params) => of(params).badblocks.show() },
      [`${disk}uevent`]: {
        show: (params) =>
          `MAJOR=${BLOCK_EXT_MAJOR}\nMINOR=${minorOf(of(params))}\nDEVNAME=${of(params).name}\nDEVTYPE=disk\n`,
        store: () => {},
      },
    },
    instances: {
      [`${parameter}Directory`]: (params) => (diskOf(params) ? ["block"] : []),
      [parameter]: (params) => {
        const name = diskOf(params)?.name;
        return name === undefined ? [] : [name];
      },
    },
    links: { [`${disk}device`]: (params) => `../../../${lastOf(at, params)}` },
  };
}

/** Minor numbers in order of regions and namespaces. */
function minorOf({ region, name }: PmemDisk): number {
  const number = /^pmem\d+(?:\.(\d+))?/.exec(name)?.[1] ?? "0";
  return region.id * 16 + Number(number);
}

/** Whether the disk supports DAX: only memory with struct pages does. */
function isMapped(name: string, data: number, start: number): boolean {
  return !name.endsWith("s") && data > start;
}

/** The last directory name of a pattern with parameters substituted. */
function lastOf(pattern: string, params: Params): string {
  return (
    pattern
      .split("/")
      .at(-2)
      ?.replaceAll(/\{(\w+)\}/g, (_text, name: string) => params[name] ?? "") ?? ""
  );
}
