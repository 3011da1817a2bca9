// cat: the operands one after the other.
import { type Program, parseOptions, readOperands } from "../program.ts";

export const cat: Program = function* (io, args) {
  const { operands } = parseOptions(args, "u");
  let status = 0;
  // One at a time, so that a complaint stands where the file would have been.
  for (const operand of operands.length > 0 ? operands : ["-"]) {
    const { inputs, failed } = yield* readOperands(io, [operand], (name, reason) =>
      reason === "Is a directory" ? `read error: ${reason}` : `can't open '${name}': ${reason}`,
    );
    for (const { text } of inputs) io.out(text);
    if (failed) status = 1;
  }
  return status;
};
