// md5sum: checksums of files, and -c to check them again.
import type { Sleeps } from "@hetmem/kernel";
import { bytesOf } from "@hetmem/vfs";
import { Operands } from "../operands.ts";
import { parseOptions } from "../options.ts";
import { Md5 } from "../md5.ts";
import type { Program, ProgramContext } from "../program.ts";
import type { Input } from "../streams.ts";

export const md5sum: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "cs");
  const inputs = new Operands(io, operands, complain);
  if (flags.has("c"))
    return (yield* check(io, yield* inputs.allLines(), flags.has("s"))) && !inputs.failed ? 0 : 1;
  yield* inputs.each(function* ({ name, input }) {
    io.out(`${yield* md5(io, input)}  ${name}\n`);
  });
  return inputs.failed ? 1 : 0;
};

/** Compares each listed file with its sum. @returns whether all sums match */
function* check(io: ProgramContext, lines: readonly string[], silent: boolean): Sleeps<boolean> {
  let wrong = 0;
  for (const line of lines) {
    const [, sum, name = ""] = /^([0-9a-f]{32})\s+\*?(.*)$/.exec(line) ?? [];
    let same = false;
    yield* new Operands(io, [name], complain).each(function* ({ input }) {
      same = (yield* md5(io, input)) === sum;
    });
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

function* md5(io: ProgramContext, input: Input): Sleeps<string> {
  const hash = new Md5();
  // Ends: with the input.
  for (let piece = yield* input.readChunk(); piece !== ""; piece = yield* input.readChunk()) {
    hash.update(bytesOf(piece));
    yield* io.turn();
  }
  return hash.digest();
}
