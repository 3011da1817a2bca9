// head and tail: the first or the last lines or bytes.
import { linesOf, parseOptions, type Program, readOperands, UsageProblem } from "../program.ts";

export const head: Program = (io, args) =>
  ends(io, args, (pieces, count) =>
    count.startsWith("-") ? pieces.slice(0, Number(count) || undefined) : pieces.slice(0, Number(count)),
  );

export const tail: Program = (io, args) =>
  ends(io, args, (pieces, count) =>
    count.startsWith("+")
      ? pieces.slice(Math.max(0, Number(count) - 1))
      : pieces.slice(Math.max(0, pieces.length - Math.abs(Number(count)))),
  );

type Choose = (pieces: readonly string[], count: string) => readonly string[];

function* ends(...[io, args, choose]: [...Parameters<Program>, Choose]): ReturnType<Program> {
  // `-5` is an old way to write `-n 5`.
  const modern = args.map((argument, index) =>
    /^-[nc]$/.test(args[index - 1] ?? "") ? argument : argument.replace(/^-(\d+)$/, "-n$1"),
  );
  const { flags, values, operands } = parseOptions(modern, "n:c:qvf");
  const count = values.get("c") ?? values.get("n") ?? "10";
  if (!/^[-+]?\d+$/.test(count)) throw new UsageProblem(`invalid number '${count}'`);
  const complain =
    io.name === "tail"
      ? (name: string, reason: string): string => `can't open '${name}': ${reason}`
      : undefined;
  const { inputs, failed } = yield* readOperands(io, operands, complain);
  const titled = (inputs.length > 1 || flags.has("v")) && !flags.has("q");
  inputs.forEach(({ name, text }, index) => {
    if (titled) io.out(`${index > 0 ? "\n" : ""}==> ${name} <==\n`);
    io.out(values.has("c") ? choose([...text], count).join("") : choose(linesWithEnds(text), count).join(""));
  });
  return failed ? 1 : 0;
}

/** Lines that still have their newline, which the last may lack. */
function linesWithEnds(text: string): string[] {
  return linesOf(text).map((line, index, all) =>
    index < all.length - 1 || text.endsWith("\n") ? `${line}\n` : line,
  );
}
