// readlink, basename, dirname, mkdir, rmdir, rm and touch: names and the plain files behind them.
import { KernelError, strerror } from "@hetmem/kernel";
import { parseOptions } from "../options.ts";
import { type Program, type ProgramContext, UsageProblem } from "../program.ts";

/** Prints nothing when it fails: scripts look at the status. */
export const readlink: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "fnev");
  let status = 0;
  for (const name of operands) {
    try {
      const target =
        flags.has("f") || flags.has("e") ? io.vfs.realpath(io.path(name)) : io.vfs.readlink(io.path(name));
      io.out(flags.has("n") ? target : `${target}\n`);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      status = 1;
    }
  }
  return status;
};

export const basename: Program = function* (io, args) {
  const [path, suffix = ""] = args;
  if (path === undefined) throw new UsageProblem("usage: basename FILE [SUFFIX]");
  const name =
    path
      .replace(/(?<=.)\/+$/, "")
      .split("/")
      .at(-1) || "/";
  io.out(`${suffix && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name}\n`);
  return 0;
};

export const dirname: Program = function* (io, args) {
  const [path] = args;
  if (path === undefined) throw new UsageProblem("usage: dirname FILE");
  const trimmed = path.replace(/(?<=.)\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  io.out(`${slash < 0 ? "." : trimmed.slice(0, slash) || "/"}\n`);
  return 0;
};

export const mkdir: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "pm:");
  return each(
    io,
    operands,
    (name) => `can't create directory '${name}'`,
    (path) => {
      if (flags.has("p")) makeAll(io, path);
      else io.vfs.mkdir(path);
    },
  );
};

function makeAll(io: ProgramContext, path: string): void {
  const segments = path.split("/").filter(Boolean);
  segments.forEach((_, index) => {
    const parent = `/${segments.slice(0, index + 1).join("/")}`;
    if (!io.vfs.exists(parent)) io.vfs.mkdir(parent);
    else if (io.vfs.stat(parent).kind !== "directory")
      throw new KernelError("ENOTDIR", `${parent} is not a directory`);
  });
}

export const rmdir: Program = function* (io, args) {
  return each(
    io,
    parseOptions(args, "p").operands,
    (name) => `'${name}'`,
    (path) => io.vfs.rmdir(path),
  );
};

export const rm: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "rRfi");
  const recursive = flags.has("r") || flags.has("R");
  let status = 0;
  for (const name of operands) {
    const path = io.path(name);
    if (!recursive && io.vfs.exists(path) && io.vfs.lstat(path).kind === "directory") {
      io.err(`rm: '${name}' is a directory\n`);
      status = 1;
    } else if (!flags.has("f") || io.vfs.exists(path)) {
      status ||= each(
        io,
        [name],
        (shown) => `can't remove '${shown}'`,
        () => remove(io, path),
      );
    }
  }
  return status;
};

function remove(io: ProgramContext, path: string): void {
  if (io.vfs.lstat(path).kind !== "directory") {
    io.vfs.unlink(path);
    return;
  }
  for (const { name } of io.vfs.list(path)) remove(io, `${path}/${name}`);
  io.vfs.rmdir(path);
}

export const touch: Program = function* (io, args) {
  return each(
    io,
    parseOptions(args, "c").operands,
    (name) => name,
    (path) => void io.vfs.open(path, "append"),
  );
};

/** Does `action` to each operand, and prints a message for each that fails. @returns the exit status */
function each(
  io: ProgramContext,
  names: readonly string[],
  what: (name: string) => string,
  action: (path: string) => void,
): number {
  let status = 0;
  for (const name of names) {
    try {
      action(io.path(name));
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.err(`${io.name}: ${what(name)}: ${strerror(error.errno)}\n`);
      status = 1;
    }
  }
  return status;
}
