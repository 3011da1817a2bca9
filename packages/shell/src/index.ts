export { complete } from "./completion.ts";
export { wordsOfSignal } from "./endings.ts";
export { type NamedInput, Operands } from "./operands.ts";
export { type Options, parseOptions, sizeOf } from "./options.ts";
export {
  NO_PROCESSES,
  type ProcessPort,
  type ProgramMempolicy,
  type ResourceLimit,
  type ResourceLimits,
  type ResourceName,
  type RunningProcess,
  type RunningPrograms,
} from "./process-port.ts";
export {
  explanationOf,
  type Program,
  type ProgramContext,
  type ProgramEntry,
  type Programs,
  refuseWithoutProcesses,
  type ShellMachine,
  UsageProblem,
} from "./program.ts";
export { PROGRAMS } from "./programs/index.ts";
export { type ExecuteOptions, Shell, type ShellResult } from "./shell.ts";
export { type Input, type Terminal } from "./streams.ts";
export { isCommand, isIncomplete } from "./syntax/parser.ts";
