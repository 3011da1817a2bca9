// The common parts of the commands of daxctl that change devices: the choice of devices, and the last lines. User space counterpart: do_xaction_device() in daxctl/device.c of ndctl.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { ProgramContext } from "@hetmem/shell";
import { formatJsonArray, type Json } from "@hetmem/shell/tool";
import { type ToolOption, ToolUsageProblem, type ToolUsage, type ToolArguments } from "@hetmem/shell/tool";
import { counted, statusOf } from "../tool.ts";
import {
  type DaxDevice,
  daxDevices,
  type DaxRegionPath,
  isDevice,
  isRegion,
  regionsOf,
} from "../libdaxctl/library.ts";

export const COMMON_OPTIONS: readonly ToolOption[] = [
  { short: "r", long: "region", value: "region-id", help: "filter by region" },
  { short: "u", long: "human", help: "use human friendly number formats" },
  { short: "v", long: "verbose", help: "emit more debug messages" },
];

export const ZONE_OPTION: ToolOption = { long: "no-movable", help: "online memory in ZONE_NORMAL" };

/** The outcome of a step: done, nothing to do, or a device to print. */
export type StepResult = Json | "done" | "nothing";
/** Words of the last lines. */
export interface ActionWords {
  /** "error reconfiguring devices". */
  readonly failed: string;
  /** "reconfigured". */
  readonly done: string;
}

/** The device that a command names. @throws ToolUsageProblem without one, or with several that aren't separated by a space */
export function deviceOperand({ operands }: ToolArguments, usage: ToolUsage, verb: string): string {
  const [device, ...extra] = operands;
  if (device === undefined) throw new ToolUsageProblem(usage, `specify a device to ${verb}, or "all"\n`);
  if (extra.length > 0)
    throw new ToolUsageProblem(usage, extra.map((word) => `unknown extra parameter "${word}"\n`).join(""));
  return device.split("/").at(-1) ?? device;
}

/** Does a step to each chosen device. The refusal of the last one is the program's status. */
export function* forEachDevice(
  io: ProgramContext,
  { values, flags }: ToolArguments,
  wanted: string,
  words: ActionWords,
  step: (device: DaxDevice) => Sleeps<StepResult>,
): Sleeps<number> {
  const devices = (yield* daxDevices(io)).filter(
    (device) => isRegion(device.region, values.get("region")) && isDevice(device, wanted),
  );
  const steps = devices.map((device) => () => step(device));
  return yield* conclude(io, words, flags.has("human"), steps);
}

/** As forEachDevice(), for regions. */
export function* forEachRegion(
  io: ProgramContext,
  { values, flags }: ToolArguments,
  words: ActionWords,
  step: (region: DaxRegionPath) => Sleeps<StepResult>,
): Sleeps<number> {
  const regions = regionsOf(yield* daxDevices(io)).filter((region) => isRegion(region, values.get("region")));
  const steps = regions.map((region) => () => step(region));
  return yield* conclude(io, words, flags.has("human"), steps);
}

/** Does the steps, and prints the last lines. Of several devices the program prints the last one alone. */
function* conclude(
  io: ProgramContext,
  words: ActionWords,
  human: boolean,
  steps: readonly (() => Sleeps<StepResult>)[],
): Sleeps<number> {
  let shown: Json | undefined;
  let processed = 0;
  let nothingDone = false;
  let error: KernelError | undefined = new KernelError("ENXIO", "no device of that name is there");
  for (const step of steps) {
    try {
      const result = yield* step();
      error = undefined;
      nothingDone = result === "nothing";
      if (!nothingDone) processed++;
      if (typeof result === "object") shown = result;
    } catch (refusal) {
      if (!(refusal instanceof KernelError)) throw refusal;
      error = refusal;
    }
  }
  if (error) io.err(`${words.failed}: ${strerror(error.errno)}\n`);
  io.err(`${words.done} ${counted(processed, "device")}\n`);
  io.out(formatJsonArray(shown === undefined ? [] : [shown], human));
  return error === undefined ? Number(nothingDone) : statusOf(error);
}
