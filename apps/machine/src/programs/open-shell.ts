// The shell of a machine with every program that it has: the standard ones, and those of its parts.
import { Shell } from "@hetmem/shell";
import type { Machine } from "../machine.ts";
import { PROGRAMS } from "./index.ts";
import type { ProgramMachine } from "./machine-program.ts";

/** Opens a shell. Of two programs with one name, that of the machine's parts is called. */
export function openShell(machine: Machine): Shell<ProgramMachine> {
  return new Shell<ProgramMachine>(machine, { ...PROGRAMS, ...machine.parts.programs });
}
