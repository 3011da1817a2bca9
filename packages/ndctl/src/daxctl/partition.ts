// daxctl create-device and destroy-device, which divide a region that the firmware has set aside; and enable-device and
// disable-device. User space counterpart: do_create() and dev_destroy() in daxctl/device.c of ndctl.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { ProgramContext } from "@hetmem/shell";
import { parseToolOptions, type ToolArguments, ToolUsageProblem, type ToolUsage } from "@hetmem/shell/tool";
import { COMMON_OPTIONS, deviceOperand, forEachDevice, forEachRegion } from "./action.ts";
import { type DeviceFile, readDeviceFile } from "./device-file.ts";
import {
  type DaxDevice,
  daxDevices,
  type DaxRegionPath,
  enableDevice,
  isEnabled,
  isSystemRam,
} from "../libdaxctl/library.ts";
import { attribute, numberIn, refusalOf } from "../sysfs/attributes.ts";
import { deviceJson } from "../libdaxctl/listing.ts";
import { disableOrSay, orSay, RECONFIGURE_OPTIONS, setSize, sizeOf } from "./reconfigure.ts";

const CREATE: ToolUsage = { line: "daxctl create-device [<options>]", options: RECONFIGURE_OPTIONS };
const DESTROY: ToolUsage = {
  line: "daxctl destroy-device <device> [<options>]",
  options: [
    ...COMMON_OPTIONS,
    { short: "f", long: "force", help: "attempt to disable before destroying device" },
  ],
};
const ENABLE: ToolUsage = { line: "daxctl enable-device <device>", options: COMMON_OPTIONS };
const DISABLE: ToolUsage = { line: "daxctl disable-device <device>", options: COMMON_OPTIONS };

export function* createDevice(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, CREATE);
  const extra = given.operands.slice(1).map((word) => `unknown extra parameter "${word}"\n`);
  if (extra.length > 0) throw new ToolUsageProblem(CREATE, extra.join(""));
  const file = yield* fileOf(io, given);
  const asked = file ? { ...given, values: new Map([...given.values, ["region", `${file.region}`]]) } : given;
  const words = { failed: "error creating devices", done: "created" };
  return yield* forEachRegion(io, asked, words, function* (region) {
    const device = yield* createIn(io, region);
    const size =
      file?.size ??
      sizeOf(given, "size") ??
      (yield* numberIn(io, `${region.path}/dax_region/available_size`)) ??
      0;
    if (size <= 0) throw noRoom(region);
    yield* setSize(io, device, { align: file?.align ?? sizeOf(given, "align"), size: undefined });
    if (!file || (yield* setMappings(io, device, file)))
      yield* setSize(io, device, { align: undefined, size });
    yield* orSay(io, device, "enable", enableDevice(io, device, "devdax"));
    return yield* deviceJson(io, device, { human: given.flags.has("human") });
  });
}

export function* destroyDevice(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, DESTROY);
  const wanted = deviceOperand(given, DESTROY, "destroy");
  const words = { failed: "error destroying devices", done: "destroyed" };
  return yield* forEachDevice(io, given, wanted, words, function* (device) {
    const { name, region } = device;
    if (isEnabled(io, device) && !given.flags.has("force")) {
      io.err(`${name} is active, specify --force for deletion\n`);
      throw new KernelError("ENXIO", `${name} is active: disable it, or give --force`);
    }
    yield* disableOrSay(io, device);
    yield* setSize(io, device, { align: undefined, size: 0 });
    const refused = yield* refusalOf(io, `${region.path}/dax_region/delete`, name);
    if (refused) throw refused;
    return "done";
  });
}

export function* enableDevices(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, ENABLE);
  const wanted = deviceOperand(given, ENABLE, "disable");
  const words = { failed: "error enabling device", done: "enabled" };
  return yield* forEachDevice(io, given, wanted, words, function* (device) {
    expectDevdax(io, device);
    yield* orSay(io, device, "enable", enableDevice(io, device, "devdax"));
    return "done";
  });
}

export function* disableDevices(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, DISABLE);
  const wanted = deviceOperand(given, DISABLE, "disable");
  const words = { failed: "error disabling device", done: "disabled" };
  return yield* forEachDevice(io, given, wanted, words, function* (device) {
    expectDevdax(io, device);
    yield* disableOrSay(io, device);
    return "done";
  });
}

/** A device without a size. @throws KernelError ENOSPC, whatever the kernel refused with */
function* createIn(io: ProgramContext, region: DaxRegionPath): Sleeps<DaxDevice> {
  const folder = `${region.path}/dax_region`;
  const refused = yield* refusalOf(io, `${folder}/create`, "1");
  const name = refused ? undefined : yield* attribute(io, `${folder}/seed`);
  const device = (yield* daxDevices(io)).find((each) => each.name === name);
  if (!device) throw noRoom(region);
  return device;
}

/** The description that `--input` names. @throws ToolUsageProblem for a file that is no description */
function* fileOf(io: ProgramContext, { values }: ToolArguments): Sleeps<DeviceFile | undefined> {
  const path = values.get("input");
  if (path === undefined) return undefined;
  const file = yield* readDeviceFile(io, path);
  if (file) return file;
  throw new ToolUsageProblem(CREATE, `error: failed to parse device file: ${strerror("EINVAL")}\n`);
}

/**
 * Gives the device the ranges of a description.
 *
 * @returns whether they are as much as its size
 * @throws KernelError ENXIO, whatever the kernel refused with
 */
function* setMappings(
  io: ProgramContext,
  { name, path }: DaxDevice,
  { mappings, size }: DeviceFile,
): Sleeps<boolean> {
  let allocated = 0;
  for (const { start, end } of mappings) {
    const range = `0x${start.toString(16)}-0x${end.toString(16)}\n`;
    const refused = yield* refusalOf(io, `${path}/mapping`, range);
    if (refused) {
      io.err(`libdaxctl: daxctl_dev_set_mapping: ${name}: failed to set mapping\n`);
      throw new KernelError("ENXIO", refused.reason);
    }
    allocated += end - start + 1;
  }
  if (mappings.length === 0 || allocated === size) return true;
  io.err(`${name}: allocated ${allocated} but specified size ${size}\n`);
  return false;
}

function expectDevdax(io: ProgramContext, device: DaxDevice): void {
  if (!isSystemRam(io, device)) return;
  io.err(`${device.name}: status operations are only applicable in devdax mode\n`);
  throw new KernelError("ENXIO", `${device.name} is RAM: reconfigure it to devdax first`);
}

function noRoom({ id }: DaxRegionPath): KernelError {
  return new KernelError("ENOSPC", `dax_region ${id} has no room for another device`);
}
