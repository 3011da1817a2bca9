// The dax_region directory of a provider. The attributes of a static region are read-only; a dynamic region is
// divided by writes to these files. Kernel counterpart: dax_region_attributes in drivers/dax/bus.c.
import { KernelError, kstrtoull } from "@hetmem/kernel";
import type { Attribute, AttributeTable } from "@hetmem/vfs";
import { nameOf } from "./bus-sysfs.ts";
import { createSeed, deleteDevice } from "./create-dev-dax.ts";
import type { ProviderPaths } from "./provider-paths.ts";

const INT_MAX = 2 ** 31 - 1;

/** The files and instances of regions whose providers match the pattern of `paths`. */
export function regionPart(paths: ProviderPaths): Pick<AttributeTable, "files" | "instances"> {
  const region = `${paths.pattern}/{region}`;
  const dynamic = `${paths.pattern}/{dynamic}`;
  return {
    instances: {
      region: (params) => (paths.find(params) ? ["dax_region"] : []),
      dynamic: (params) => (paths.find(params)?.kind === "dynamic" ? ["dax_region"] : []),
    },
    files: {
      [`${region}/id`]: { show: (params) => `${paths.region(params).id}\n` },
      [`${region}/size`]: { show: (params) => `${paths.region(params).resource.size}\n` },
      [`${region}/align`]: { mode: 0o400, show: (params) => `${paths.region(params).align}\n` },
      [`${dynamic}/available_size`]: { show: (params) => `${paths.region(params).availableSize}\n` },
      [`${dynamic}/seed`]: { show: (params) => `${paths.region(params).seed?.name ?? ""}\n` },
      [`${dynamic}/create`]: createFile(paths),
      [`${dynamic}/delete`]: {
        store: (params, text) => deleteDevice(paths.region(params), nameOf(text)),
      },
    },
  };
}

/** @see create_show(), create_store() */
function createFile(paths: ProviderPaths): Attribute {
  return {
    show: (params) => `${paths.region(params).youngest?.name ?? ""}\n`,
    *store(params, text) {
      const value = kstrtoull(text);
      if (value > INT_MAX) throw new KernelError("ERANGE", `${value} does not fit in an int`);
      if (value !== 1) throw new KernelError("EINVAL", "devices are created one at a time: write 1");
      yield* createSeed(paths.region(params));
    },
  };
}
