// cat: the operands one after the other.
import { Operands } from "../operands.ts";
import { parseOptions } from "../options.ts";
import type { Program } from "../program.ts";

export const cat: Program = function* (io, args) {
  const { operands } = parseOptions(args, "u");
  const inputs = new Operands(io, operands, (name, reason) =>
    reason === "Is a directory" ? `read error: ${reason}` : `can't open '${name}': ${reason}`,
  );
  yield* inputs.each(function* ({ input }) {
    // Ends: with the input.
    for (let piece = yield* input.readChunk(); piece !== ""; piece = yield* input.readChunk()) {
      io.out(piece);
      yield* io.turn();
    }
  });
  return inputs.failed ? 1 : 0;
};
