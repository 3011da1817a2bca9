// Two captures of a real 6.1 kernel in QEMU, for people without a Linux host or without root on it.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Files of this package. */
export const BUNDLED_CAPTURES = {
  /** Two nodes of 1 GiB; 3 GiB more from 4 GiB up are hidden from the firmware map and can be probed. */
  get "hidden-ram"(): string {
    return fixture("tree-hidden-ram.tar.gz");
  },
  /** Two nodes of 1 GiB, and an NVDIMM of 1 GiB at 4 GiB. */
  get nvdimm(): string {
    return fixture("tree-nvdimm.tar.gz");
  },
} as const;

/** By the name of the package, not beside this file: a bundle of a program that depends on the package finds it, too. */
function fixture(name: string): string {
  const manifest = createRequire(import.meta.url).resolve("@hetmem/host-capture/package.json");
  return join(dirname(manifest), "fixtures/captures", name);
}
