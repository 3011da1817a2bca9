export { complete, interact, type InteractiveStreams } from "./interactive.ts";
export { type Compared, type Mask, maskOutputs, MASKS } from "./masks.ts";
export { NO_PROCESSES, type ProcessPort, type RunningProcess } from "./process-port.ts";
export {
  type Options,
  parseOptions,
  type Program,
  type ProgramContext,
  type ProgramEntry,
  type Programs,
  Operands,
  type ShellMachine,
  UsageProblem,
} from "./program.ts";
export { PROGRAMS } from "./programs/index.ts";
export { replayTranscript, type ReplayOptions, type ReplayResult } from "./replay.ts";
export { runScript } from "./run-script.ts";
export { type ExecuteOptions, isIncomplete, Shell, type ShellResult } from "./shell.ts";
export { Input, type Output, type Terminal } from "./streams.ts";
export { formatTranscript, parseTranscript, type TranscriptEntry } from "./transcript.ts";
export type { UserSpace } from "./user-space.ts";
