export { type Compared, type Mask, maskOutputs, MASKS, type PfnSpan } from "./masks.ts";
export {
  type ReplayMachine,
  type ReplayOptions,
  type ReplayResult,
  type ReplayShell,
  replayTranscript,
} from "./replay.ts";
export { formatTranscript, parseTranscript, type TranscriptEntry } from "./transcript.ts";
