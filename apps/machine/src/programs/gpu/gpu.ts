// gpu: devices compute on pointers of processes, and take their pages. There is no such program elsewhere; it stands for
// what a compute library would ask its driver.
import type { Program } from "../machine-program.ts";
import { programOfVerbs } from "../verbs.ts";
import { MEMORY } from "./memory.ts";
import { RUN } from "./run.ts";
import { STATE } from "./state.ts";

export const gpu: Program = programOfVerbs({ ...RUN, ...MEMORY, ...STATE });
