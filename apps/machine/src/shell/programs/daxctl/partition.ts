// daxctl create-device and destroy-device, which divide a region that the firmware has set aside; and enable-device and
// disable-device. User space counterpart: do_create() and destroy in daxctl/device.c of ndctl.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { ProgramContext } from "../../program.ts";
import { parseToolOptions, ToolUsageProblem, type ToolUsage } from "../tool/options.ts";
import { COMMON_OPTIONS, deviceOperand, forEachDevice, forEachRegion } from "./action.ts";
import {
  attribute,
  type DaxDevice,
  daxDevices,
  driverOf,
  enableDevice,
  isSystemRam,
  numberIn,
  refusalOf,
} from "./library.ts";
import { deviceJson } from "./list.ts";
import { disableOrSay, RECONFIGURE_OPTIONS, setSize } from "./reconfigure.ts";

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
  const [extra] = given.operands;
  if (extra !== undefined) throw new ToolUsageProblem(CREATE, `unknown extra parameter "${extra}"\n`);
  const words = { failed: "error creating devices", done: "created" };
  return yield* forEachRegion(io, given, words, function* (region) {
    const folder = `${region.path}/dax_region`;
    const available = yield* numberIn(io, `${folder}/available_size`);
    const refused = yield* refusalOf(io, `${folder}/create`, "1");
    const name = refused ? undefined : yield* attribute(io, `${folder}/seed`);
    const device = (yield* daxDevices(io)).find((each) => each.name === name);
    if (!device) throw new KernelError("ENOSPC", `dax_region ${region.id} has no room for another device`);
    yield* setSize(io, device, given, available);
    yield* enableDevice(io, device, "devdax");
    return yield* deviceJson(io, device, { human: given.flags.has("human") });
  });
}

export function* destroyDevice(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, DESTROY);
  const wanted = deviceOperand(given, DESTROY, "destroy");
  const words = { failed: "error destroying devices", done: "destroyed" };
  return yield* forEachDevice(io, given, wanted, words, function* (device) {
    const { name, path, region } = device;
    if (driverOf(io, device) !== undefined) {
      if (!given.flags.has("force")) {
        io.err(`${name} is active, specify --force for deletion\n`);
        throw new KernelError("EBUSY", `${name} is active`);
      }
      yield* disableOrSay(io, device);
    }
    const refused =
      (yield* refusalOf(io, `${path}/size`, "0")) ??
      (yield* refusalOf(io, `${region.path}/dax_region/delete`, name));
    if (refused) throw refused;
    return "done";
  });
}

export function* enableDevices(io: ProgramContext, args: readonly string[]): Sleeps<number> {
  const given = parseToolOptions(args, ENABLE);
  const wanted = deviceOperand(given, ENABLE, "enable");
  const words = { failed: "error enabling device", done: "enabled" };
  return yield* forEachDevice(io, given, wanted, words, function* (device) {
    expectDevdax(io, device);
    yield* enableDevice(io, device, "devdax");
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

function expectDevdax(io: ProgramContext, device: DaxDevice): void {
  if (!isSystemRam(io, device)) return;
  io.err(`${device.name}: status operations are only applicable in devdax mode\n`);
  throw new KernelError("ENXIO", `${device.name} is RAM: reconfigure it to devdax first`);
}
