// find: paths below a directory in the order of its file system, filtered by name, type and depth.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { type FileKind, GlobPattern } from "@hetmem/vfs";
import { type Program, type ProgramContext, UsageProblem } from "../program.ts";

interface Criteria {
  minDepth: number;
  maxDepth: number;
  /** All of them must hold; the name is the last component of the path. */
  readonly tests: ((found: { path: string; name: string; kind: FileKind }) => boolean)[];
}

const TYPES: Readonly<Record<string, FileKind>> = { f: "file", d: "directory", l: "link" };

export const find: Program = function* (io, args) {
  const split = args.findIndex((argument) => /^[-!(]/.test(argument));
  const starts = split < 0 ? args : args.slice(0, split);
  const criteria = parseCriteria(split < 0 ? [] : args.slice(split));
  let status = 0;
  for (const start of starts.length > 0 ? starts : ["."]) {
    try {
      yield* visit(io, start, io.vfs.lstat(io.path(start)).kind, 0, criteria);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.err(`find: ${start}: ${strerror(error.errno)}\n`);
      status = 1;
    }
  }
  return status;
};

function* visit(
  io: ProgramContext,
  path: string,
  kind: FileKind,
  depth: number,
  criteria: Criteria,
): Sleeps<void> {
  yield* io.turn();
  const name =
    path
      .replace(/(?<=.)\/+$/, "")
      .split("/")
      .at(-1) ?? path;
  if (depth >= criteria.minDepth && criteria.tests.every((holds) => holds({ path, name, kind })))
    io.out(`${path}\n`);
  if (kind !== "directory" || depth >= criteria.maxDepth) return;
  for (const entry of io.vfs.readdir(io.path(path))) {
    yield* visit(
      io,
      path.endsWith("/") ? path + entry.name : `${path}/${entry.name}`,
      entry.kind,
      depth + 1,
      criteria,
    );
  }
}

function parseCriteria(args: readonly string[]): Criteria {
  const criteria: Criteria = { minDepth: 0, maxDepth: Number.POSITIVE_INFINITY, tests: [] };
  const rest = [...args];
  let negated = false;
  const add = (holds: Criteria["tests"][number]): void => {
    const not = negated;
    negated = false;
    criteria.tests.push((found) => holds(found) !== not);
  };
  for (let option = rest.shift(); option !== undefined; option = rest.shift()) {
    if (option === "!" || option === "-not") {
      negated = true;
      continue;
    }
    if (option === "-print") continue;
    const value = rest.shift();
    if (value === undefined) throw new UsageProblem(`${option} requires an argument`);
    switch (option) {
      case "-name": {
        const matcher = GlobPattern.parse(value);
        add(({ name }) => matcher.matches(name));
        break;
      }
      case "-path": {
        const matcher = GlobPattern.parse(value);
        add(({ path }) => matcher.matches(path));
        break;
      }
      case "-type":
        if (!TYPES[value]) throw new UsageProblem(`invalid argument '${value}' to '-type': f, d or l`);
        add(({ kind }) => kind === TYPES[value]);
        break;
      case "-maxdepth":
        criteria.maxDepth = Number(value);
        break;
      case "-mindepth":
        criteria.minDepth = Number(value);
        break;
      default:
        throw new UsageProblem(`unrecognized: ${option}`);
    }
  }
  return criteria;
}
