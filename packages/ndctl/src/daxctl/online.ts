// daxctl online-memory and offline-memory. User space counterpart: dev_online_memory() and dev_offline_memory() in
// daxctl/device.c of ndctl.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { ProgramContext } from "@hetmem/shell";
import { parseToolOptions, type ToolUsage } from "@hetmem/shell/tool";
import { COMMON_OPTIONS, deviceOperand, forEachDevice, type StepResult, ZONE_OPTION } from "./action.ts";
import type { DaxDevice } from "../libdaxctl/library.ts";
import { countOnline, type DaxMemory, memoryOf, offlineBlocks, onlineBlocks } from "../libdaxctl/memory.ts";

export interface OnlineOptions {
  readonly zone: "movable" | "normal";
  readonly verbose: boolean;
}

const ONLINE: ToolUsage = {
  line: "daxctl online-memory <device> [<options>]",
  options: [...COMMON_OPTIONS, ZONE_OPTION],
};
const OFFLINE: ToolUsage = {
  line: "daxctl offline-memory <device> [<options>]",
  options: COMMON_OPTIONS,
};

export function* onlineMemory(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, ONLINE);
  const device = deviceOperand(given, ONLINE, "online memory for");
  const zone = given.flags.has("no-movable") ? "normal" : "movable";
  const options: OnlineOptions = { zone, verbose: given.flags.has("verbose") };
  const words = { failed: "error onlining memory", done: "onlined memory for" };
  return yield* forEachDevice(io, given, device, words, function* (each) {
    return yield* onlineDevice(io, yield* expectMemory(io, each), options);
  });
}

export function* offlineMemory(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, OFFLINE);
  const device = deviceOperand(given, OFFLINE, "offline memory for");
  const verbose = given.flags.has("verbose");
  const words = { failed: "error offlining memory", done: "offlined memory for" };
  return yield* forEachDevice(io, given, device, words, function* (each) {
    return yield* offlineDevice(io, yield* expectMemory(io, each), verbose);
  });
}

/** @throws KernelError the refusal of a block @see dev_online_memory() */
export function* onlineDevice(
  io: ProgramContext,
  memory: DaxMemory,
  { zone, verbose }: OnlineOptions,
): Sleeps<StepResult> {
  const { name } = memory.device;
  const total = memory.blocks.length;
  const online = yield* countOnline(io, memory);
  if (online > 0) io.err(`${name}:\n${RACE}`);
  if (online === total) {
    io.err(`${name}: all memory sections (${online}) already online\n`);
    return "nothing";
  }
  if (online > 0) io.err(`${name}: ${sections(online)} already online\n`);
  const changed = yield* orSay(io, `${name}: failed to online memory`, onlineBlocks(io, memory, zone));
  if (verbose) io.err(`${name}: ${sections(changed)} onlined\n`);
  const missing = total - (yield* countOnline(io, memory));
  if (missing > 0) throw stayed(io, `${name}: failed to online ${missing} memory sections\n`);
  return "done";
}

/** @throws KernelError the refusal of a block @see dev_offline_memory() */
export function* offlineDevice(io: ProgramContext, memory: DaxMemory, verbose: boolean): Sleeps<StepResult> {
  const { name } = memory.device;
  const total = memory.blocks.length;
  const offline = total - (yield* countOnline(io, memory));
  if (offline === total) {
    io.err(`${name}: all memory sections (${offline}) already offline\n`);
    return "nothing";
  }
  if (offline > 0) io.err(`${name}: ${sections(offline)} already offline\n`);
  const changed = yield* orSay(io, `${name}: failed to offline memory`, offlineBlocks(io, memory));
  if (verbose) io.err(`${name}: ${sections(changed)} offlined\n`);
  const left = yield* countOnline(io, memory);
  if (left > 0) throw stayed(io, `${name}: failed to offline ${left} memory sections\n`);
  return "done";
}

const RACE =
  "  WARNING: detected a race while onlining memory\n" +
  "  Some memory may not be in the expected zone. It is\n" +
  "  recommended to disable any other onlining mechanisms,\n" +
  "  and retry. If onlining is to be left to other agents,\n" +
  "  use the --no-online option to suppress this warning\n";

function* expectMemory(io: ProgramContext, device: DaxDevice): Sleeps<DaxMemory> {
  const memory = yield* memoryOf(io, device);
  if (memory) return memory;
  io.err(`${device.name}: memory operations are not applicable in devdax mode\n`);
  throw new KernelError("ENXIO", `${device.name} is not RAM: reconfigure it to system-ram first`);
}

/** Another process changed blocks meanwhile: a message, and an error. */
function stayed(io: ProgramContext, text: string): KernelError {
  io.err(text);
  return new KernelError("ENXIO", "another process changes the state of the same blocks");
}

/** Prints a line for a refusal, and passes it on. */
function* orSay<T>(io: ProgramContext, what: string, change: Sleeps<T>): Sleeps<T> {
  try {
    return yield* change;
  } catch (error) {
    if (error instanceof KernelError) io.err(`${what}: ${strerror(error.errno)}\n`);
    throw error;
  }
}

function sections(count: number): string {
  return `${count} memory section${count === 1 ? "" : "s"}`;
}
