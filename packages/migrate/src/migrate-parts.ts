// The parts that the migrate package gives to a machine: NUMA balancing, which migrates a page to the node that uses
// it.
// Kernel counterpart: migrate_misplaced_page() in mm/migrate.c, as do_numa_page() calls it.
import type { VmParts } from "@hetmem/mm";
import { migrateMisplacedPage } from "./numa-balancing.ts";

/** Parts of a machine; spread them into the options of Vm. */
export const migrateParts: Required<Pick<VmParts, "migrateMisplacedPage">> = { migrateMisplacedPage };
