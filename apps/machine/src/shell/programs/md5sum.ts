// md5sum: checksums of files, and -c to check them again.
import { createHash } from "node:crypto";
import type { Sleeps } from "@hetmem/kernel";
import { linesOf, parseOptions, type Program, type ProgramContext, readOperands } from "../program.ts";

export const md5sum: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "cs");
  const { inputs, failed } = yield* readOperands(io, operands, complain);
  if (flags.has("c")) {
    const lists = inputs.flatMap(({ text }) => linesOf(text));
    return (yield* check(io, lists, flags.has("s"))) && !failed ? 0 : 1;
  }
  for (const { name, text } of inputs) io.out(`${md5(text)}  ${name}\n`);
  return failed ? 1 : 0;
};

/** Compares each listed file with its sum. @returns whether all are as they were */
function* check(io: ProgramContext, lines: readonly string[], silent: boolean): Sleeps<boolean> {
  let wrong = 0;
  for (const line of lines) {
    const [, sum, name = ""] = /^([0-9a-f]{32})\s+\*?(.*)$/.exec(line) ?? [];
    const { inputs } = yield* readOperands(io, [name], complain);
    const same = inputs[0] !== undefined && md5(inputs[0].text) === sum;
    if (!same) wrong++;
    if (!silent) io.out(`${name}: ${same ? "OK" : "FAILED"}\n`);
  }
  if (wrong > 0 && !silent)
    io.err(`md5sum: WARNING: ${wrong} of ${lines.length} computed checksums did NOT match\n`);
  return wrong === 0;
}

function complain(name: string, reason: string): string {
  return `can't open '${name}': ${reason}`;
}

function md5(text: string): string {
  return createHash("md5").update(text).digest("hex");
}
