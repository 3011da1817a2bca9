// gpu: devices compute on pointers of processes, and take their pages. There is no such program elsewhere; it stands for the
// calls of a compute library to its driver.
import type { Program } from "../machine-program.ts";
import { programOfVerbs } from "../verbs.ts";
import { MEMORY } from "./memory.ts";
import { RUN } from "./run.ts";
import { STATE } from "./state.ts";

export const gpu: Program = programOfVerbs({ ...RUN, ...MEMORY, ...STATE });
