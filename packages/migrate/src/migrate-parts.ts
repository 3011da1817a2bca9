// What the migrate package brings to a machine's address spaces: pages that follow the node that uses them.
import type { VmParts } from "@hetmem/mm";
import { migrateMisplacedPage } from "./numa-balancing.ts";

/** To be spread into the options of Vm. */
export const migrateParts: VmParts = { migrateMisplacedPage };
