// dmesg, uname, sleep, env, reboot, yes, true and false: the log, the release and the clock of the machine.
import { parseOptions } from "../options.ts";
import { type Program, UsageProblem } from "../program.ts";

export const dmesg: Program = function* (io, args) {
  parseOptions(args, "r");
  io.out(io.machine.kernel.log.format());
  return 0;
};

export const uname: Program = function* (io, args) {
  const { flags } = parseOptions(args, "asnrvmpio");
  const fields: readonly [letter: string, value: string][] = [
    ["s", "Linux"],
    ["n", "hetmem"],
    ["r", io.machine.spec.release],
    ["v", "#1 SMP"],
    ["m", "x86_64"],
    ["o", "GNU/Linux"],
  ];
  const shown = fields.filter(
    ([letter]) => flags.has("a") || (flags.size === 0 ? letter === "s" : flags.has(letter)),
  );
  io.out(`${shown.map(([, value]) => value).join(" ")}\n`);
  return 0;
};

const SECONDS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** Simulated time passes. */
export const sleep: Program = function* (io, args) {
  for (const argument of args) {
    const [, count, unit = ""] = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(argument) ?? [];
    if (!count) throw new UsageProblem(`invalid number '${argument}'`);
    yield* io.machine.kernel.clock.sleep(Number(count) * (SECONDS[unit] ?? 1) * 1e9);
  }
  return 0;
};

export const env: Program = function* (io) {
  for (const [name, value] of io.environment) io.out(`${name}=${value}\n`);
  return 0;
};

/** Boots anew. Persistent memory keeps its contents, and the device rules of the machine file run again. */
export const reboot: Program = function* (io) {
  if (!io.machine.reboot) throw new UsageProblem("this machine was built to be booted once");
  io.machine.reboot();
  return 0;
};

/** Bytes of a buffer of stdio. */
const BUFFER_BYTES = 4096;

/** Prints the same line until its reader ends, or ^C. */
export const yes: Program = function* (io, args) {
  const line = `${args.length === 0 ? "y" : args.join(" ")}\n`;
  // Bounded: by a buffer, or by one line that is longer.
  const lines = line.repeat(Math.ceil(BUFFER_BYTES / line.length));
  // Ends: with ^C, or with the reader.
  for (;;) {
    io.out(lines);
    yield* io.turn();
  }
};

export const succeed: Program = function* () {
  return 0;
};

export const fail: Program = function* () {
  return 1;
};
