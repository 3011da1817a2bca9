// daxctl reconfigure-device: to RAM and back, and the size and alignment of a device that has been divided. User space
// counterpart: do_reconfig() in daxctl/device.c of ndctl.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { ProgramContext } from "@hetmem/shell";
import {
  parseSize,
  parseToolOptions,
  type ToolArguments,
  ToolUsageProblem,
  type ToolUsage,
} from "@hetmem/shell/tool";
import { COMMON_OPTIONS, deviceOperand, forEachDevice, ZONE_OPTION } from "./action.ts";
import {
  type DaxDevice,
  daxDevices,
  disableDevice,
  enableDevice,
  isEnabled,
  isSystemRam,
} from "../libdaxctl/library.ts";
import { attribute, refusalOf } from "../sysfs/attributes.ts";
import { deviceJson } from "../libdaxctl/listing.ts";
import { countOnline, memoryOf } from "../libdaxctl/memory.ts";
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
  ZONE_OPTION,
];
/** The options of create-device are the same. */
export const RECONFIGURE_OPTIONS: ToolUsage["options"] = OPTIONS;

const USAGE: ToolUsage = { line: "daxctl reconfigure-device <device> [<options>]", options: OPTIONS };

export function* reconfigureDevice(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, USAGE);
  const { flags, values } = given;
  const wanted = deviceOperand(given, USAGE, "reconfigure");
  const mode = values.get("mode");
  if (flags.has("check-config")) {
    if (mode !== undefined || flags.has("no-online") || flags.has("no-movable"))
      throw new ToolUsageProblem(
        USAGE,
        `${wanted}: -C cannot be used with --mode, --(no-)movable, or --(no-)online\n`,
      );
    return yield* withoutConfig(io, wanted);
  }
  const resizes = values.has("size") || values.has("align");
  if (mode === undefined && !resizes)
    throw new ToolUsageProblem(USAGE, "error: a 'align', 'mode' or 'size' option is required\n");
  if (mode === "devdax" && flags.has("no-online") && !resizes)
    throw new ToolUsageProblem(USAGE, "--no-online is incompatible with --mode=devdax\n");
  const words = { failed: "error reconfiguring devices", done: "reconfigured" };
  return yield* forEachDevice(io, given, wanted, words, function* (device) {
    const size = sizeOf(given, "size");
    yield* setSize(io, device, { align: sizeOf(given, "align"), size });
    // A new size is the only change then, and nothing is printed of the device.
    if (size !== undefined) return "done";
    if (mode === "system-ram" && !resizes) yield* toSystemRam(io, device, given);
    else if (mode === "devdax" && !resizes) yield* toDevdax(io, device, given);
    else throw unknownMode(io, device);
    return yield* deviceJson(io, device, { human: flags.has("human") });
  });
}

/**
 * Without /etc/daxctl.conf.d nothing is to be done: the rules of a machine file stand in for it.
 *
 * @see parse_config_reconfig()
 */
function* withoutConfig(io: ProgramContext, wanted: string): Sleeps<number> {
  const isOfNamespace = (yield* daxDevices(io)).some(
    ({ name, region }) => name === wanted && /\/ndbus\d+\//.test(region.path),
  );
  if (wanted !== "all" && !isOfNamespace) io.err(`no UUID match for ${wanted} found in config files\n`);
  io.err(`${wanted}: missing or malformed config section\n`);
  return 0;
}

/** Memory that is online already is as it was wanted. @see reconfig_mode_system_ram() */
function* toSystemRam(io: ProgramContext, device: DaxDevice, { flags }: ToolArguments): Sleeps<void> {
  const { name } = device;
  const policy = yield* attribute(io, "/sys/devices/system/memory/auto_online_blocks");
  const asksForItself = flags.has("no-online") || !flags.has("no-movable");
  if (asksForItself && !flags.has("force") && policy?.startsWith("online")) {
    io.err(`${name}: error: kernel policy will auto-online memory, aborting\n`);
    throw new KernelError("EBUSY", `auto_online_blocks is ${policy}: write offline to it, or give --force`);
  }
  if (isSystemRam(io, device)) io.err(`${name} was already in system-ram mode\n`);
  else {
    if (isEnabled(io, device)) yield* disableOrSay(io, device);
    yield* enableDevice(io, device, "system-ram");
  }
  if (flags.has("no-online")) return;
  const memory = yield* memoryOf(io, device);
  if (!memory) {
    io.err(`${name}: failed to get the memory object\n`);
    throw new KernelError("ENXIO", `${name} is not RAM`);
  }
  const zone = flags.has("no-movable") ? "normal" : "movable";
  yield* onlineDevice(io, memory, { zone, verbose: flags.has("verbose") });
}

/** @see reconfig_mode_devdax(), disable_system_ram_device() */
function* toDevdax(io: ProgramContext, device: DaxDevice, { flags }: ToolArguments): Sleeps<void> {
  const { name } = device;
  const verbose = flags.has("verbose");
  if (isEnabled(io, device)) {
    const memory = yield* memoryOf(io, device);
    if (!memory) return void io.err(`${name} was already in devdax mode\n`);
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
}

/** An option's bytes; undefined where it was not given, or is no number. */
export function sizeOf({ values }: ToolArguments, option: "size" | "align"): number | undefined {
  const text = values.get(option);
  return text === undefined ? undefined : parseSize(text);
}

/**
 * Writes alignment and size, as far as they are wanted. The kernel refuses while a driver has the device.
 *
 * @param wanted bytes; undefined leaves the value as it is
 * @throws KernelError ENXIO, whatever the kernel refused with
 */
export function* setSize(
  io: ProgramContext,
  { name, path }: DaxDevice,
  wanted: { readonly align: number | undefined; readonly size: number | undefined },
): Sleeps<void> {
  const writes = [["align", wanted.align || undefined] as const, ["size", wanted.size] as const];
  for (const [file, bytes] of writes) {
    const refused =
      bytes === undefined ? undefined : yield* refusalOf(io, `${path}/${file}`, `0x${bytes.toString(16)}\n`);
    if (!refused) continue;
    io.err(`libdaxctl: daxctl_dev_set_${file}: ${name}: failed to set ${file}\n`);
    throw new KernelError("ENXIO", refused.reason);
  }
}

/** @throws KernelError EBUSY */
export function* disableOrSay(io: ProgramContext, device: DaxDevice): Sleeps<void> {
  yield* orSay(io, device, "disable", disableDevice(io, device));
}

/** Prints a line for a refusal, and passes it on. */
export function* orSay(
  io: ProgramContext,
  { name }: DaxDevice,
  what: "enable" | "disable",
  change: Sleeps<void>,
): Sleeps<void> {
  try {
    yield* change;
  } catch (error) {
    if (error instanceof KernelError) io.err(`${name}: ${what} failed: ${strerror(error.errno)}\n`);
    throw error;
  }
}

function unknownMode(io: ProgramContext, { name }: DaxDevice): KernelError {
  io.err(`${name}: unknown mode requested: 0\n`);
  return new KernelError("EINVAL", "modes are devdax and system-ram");
}
