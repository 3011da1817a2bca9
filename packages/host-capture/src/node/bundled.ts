// Two captures of a real 6.1 kernel in QEMU, for people without a Linux host or without root on it.
import { fileURLToPath } from "node:url";

export const BUNDLED_CAPTURES = {
  /** Two nodes of 1 GiB; 3 GiB more from 4 GiB up are hidden from the firmware map and can be probed. */
  "hidden-ram": fixture("tree-hidden-ram.tar.gz"),
  /** Two nodes of 1 GiB, and an NVDIMM of 1 GiB at 4 GiB. */
  nvdimm: fixture("tree-nvdimm.tar.gz"),
} as const;

function fixture(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/captures/${name}`, import.meta.url));
}
