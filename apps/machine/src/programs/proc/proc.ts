// proc: starts processes and has them use memory, a system call or an access at a time. There is no such program elsewhere.
// Its output is made for the next command: `pid=$(proc start qemu)`.
import type { Program } from "../machine-program.ts";
import { ACCESS } from "./access.ts";
import { ADVICE } from "./advice.ts";
import { programOfVerbs } from "../verbs.ts";
import { LIFE } from "./life.ts";
import { MAPPING } from "./mapping.ts";
import { PIN } from "./pin.ts";

export const proc: Program = programOfVerbs({ ...LIFE, ...MAPPING, ...ACCESS, ...ADVICE, ...PIN });
