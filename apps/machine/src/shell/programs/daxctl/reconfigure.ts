// daxctl reconfigure-device: to RAM and back, and the size and alignment of a device that has been divided. User space
// counterpart: do_reconfig() in daxctl/device.c of ndctl.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { ProgramContext } from "../../program.ts";
import {
  parseSize,
  parseToolOptions,
  type ToolArguments,
  ToolUsageProblem,
  type ToolUsage,
} from "../tool/options.ts";
import { COMMON_OPTIONS, deviceOperand, forEachDevice, type StepResult } from "./action.ts";
import { attribute, type DaxDevice, disableDevice, enableDevice, isSystemRam, refusalOf } from "./library.ts";
import { deviceJson } from "./list.ts";
import { countOnline, memoryOf } from "./memory.ts";
import { offlineDevice, onlineDevice } from "./online.ts";

const OPTIONS: ToolUsage["options"] = [
  ...COMMON_OPTIONS,
  { short: "s", long: "size", value: "size", help: "size to switch the device to" },
  { short: "a", long: "align", value: "align", help: "alignment to switch the device to" },
  { long: "input", value: "input", help: "input device JSON file" },
  { short: "m", long: "mode", value: "mode", help: "mode to switch the device to" },
  { short: "N", long: "no-online", help: "don't auto-online memory sections" },
  { short: "f", long: "force", help: "attempt to offline memory sections before reconfiguration" },
  { short: "C", long: "check-config", help: "use config files to determine parameters for the operation" },
  { long: "no-movable", help: "online memory in ZONE_NORMAL" },
];
/** The options of create-device are the same. */
export const RECONFIGURE_OPTIONS: ToolUsage["options"] = OPTIONS;

const USAGE: ToolUsage = { line: "daxctl reconfigure-device <device> [<options>]", options: OPTIONS };

export function* reconfigureDevice(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, USAGE);
  const { flags, values } = given;
  const wanted = deviceOperand(given, USAGE, "reconfigure");
  if (flags.has("check-config")) return withoutConfig(io, wanted);
  const mode = values.get("mode");
  if (mode === undefined && !values.has("size") && !values.has("align"))
    throw new ToolUsageProblem(USAGE, "error: a 'align', 'mode' or 'size' option is required\n");
  if (mode === "devdax" && flags.has("no-online"))
    throw new ToolUsageProblem(USAGE, "--no-online is incompatible with --mode=devdax\n");
  const words = { failed: "error reconfiguring devices", done: "reconfigured" };
  return yield* forEachDevice(io, given, wanted, words, function* (device) {
    let result: StepResult;
    if (values.has("size") || values.has("align")) result = yield* resize(io, device, given);
    else if (mode === "system-ram") result = yield* toSystemRam(io, device, given);
    else if (mode === "devdax") result = yield* toDevdax(io, device, given);
    else throw unknownMode(io, device);
    return result === "nothing" ? result : yield* deviceJson(io, device, { human: flags.has("human") });
  });
}

/** Without /etc/daxctl.conf.d nothing is to be done: the rules of a machine file stand in for it. */
function withoutConfig(io: ProgramContext, device: string): number {
  io.err(
    `no UUID match for ${device} found in config files\n${device}: missing or malformed config section\n`,
  );
  return 0;
}

/** @see reconfig_mode_system_ram() */
function* toSystemRam(io: ProgramContext, device: DaxDevice, { flags }: ToolArguments): Sleeps<StepResult> {
  const { name } = device;
  const policy = yield* attribute(io, "/sys/devices/system/memory/auto_online_blocks");
  const asksForItself = flags.has("no-online") || !flags.has("no-movable");
  if (asksForItself && !flags.has("force") && policy !== undefined && policy !== "offline") {
    io.err(`${name}: error: kernel policy will auto-online memory, aborting\n`);
    throw new KernelError("EBUSY", `auto_online_blocks is ${policy}: write offline to it, or give --force`);
  }
  if (isSystemRam(io, device)) io.err(`${name} was already in system-ram mode\n`);
  else {
    yield* disableOrSay(io, device);
    yield* enableDevice(io, device, "system-ram");
  }
  if (flags.has("no-online")) return "done";
  const memory = yield* memoryOf(io, device);
  if (!memory) {
    io.err(`${name}: failed to get the memory object\n`);
    throw new KernelError("ENXIO", `${name} is not RAM`);
  }
  const zone = flags.has("no-movable") ? "normal" : "movable";
  return yield* onlineDevice(io, memory, { zone, verbose: flags.has("verbose") });
}

/** @see reconfig_mode_devdax() */
function* toDevdax(io: ProgramContext, device: DaxDevice, { flags }: ToolArguments): Sleeps<StepResult> {
  const { name } = device;
  const memory = yield* memoryOf(io, device);
  const verbose = flags.has("verbose");
  if (!memory) io.err(`${name} was already in devdax mode\n`);
  else {
    if (flags.has("force")) yield* offlineDevice(io, memory, verbose);
    const online = yield* countOnline(io, memory);
    if (online > 0) {
      if (verbose)
        io.err(`${name}: found ${online} memory sections online\n${name}: refusing to change modes\n`);
      throw new KernelError(
        "EBUSY",
        `${online} memory blocks of ${name} are online: offline them, or give -f`,
      );
    }
    yield* disableOrSay(io, device);
  }
  yield* enableDevice(io, device, "devdax");
  return "done";
}

/** A device is resized while nobody has it. @see dev_resize() */
function* resize(io: ProgramContext, device: DaxDevice, given: ToolArguments): Sleeps<StepResult> {
  if (isSystemRam(io, device)) {
    io.err(`${device.name} was already in system-ram mode\n`);
    return "nothing";
  }
  yield* disableOrSay(io, device);
  const size = yield* setSize(io, device, given);
  if (size !== 0) yield* enableDevice(io, device, "devdax");
  return "done";
}

/**
 * Writes alignment and size, as far as they were given.
 *
 * @returns bytes, undefined when no size was given
 * @throws KernelError what the kernel refuses with
 */
export function* setSize(
  io: ProgramContext,
  { name, path }: DaxDevice,
  { values }: ToolArguments,
  otherwise?: number,
): Sleeps<number | undefined> {
  const sizeOf = (option: string): number | undefined => {
    const text = values.get(option);
    return text === undefined ? undefined : (parseSize(text) ?? 0);
  };
  const size = sizeOf("size") ?? otherwise;
  for (const [file, value] of [
    ["align", sizeOf("align")],
    ["size", size],
  ] as const) {
    const refused = value === undefined ? undefined : yield* refusalOf(io, `${path}/${file}`, `${value}`);
    if (!refused) continue;
    io.err(`libdaxctl: daxctl_dev_set_${file}: ${name}: failed to set ${file}\n`);
    throw refused;
  }
  return size;
}

/** @throws KernelError what the kernel refuses with */
export function* disableOrSay(io: ProgramContext, device: DaxDevice): Sleeps<void> {
  try {
    yield* disableDevice(io, device);
  } catch (error) {
    if (error instanceof KernelError) io.err(`${device.name}: disable failed: ${strerror(error.errno)}\n`);
    throw error;
  }
}

function unknownMode(io: ProgramContext, { name }: DaxDevice): KernelError {
  io.err(`${name}: unknown mode requested: -1\n`);
  return new KernelError("EINVAL", "modes are devdax and system-ram");
}
