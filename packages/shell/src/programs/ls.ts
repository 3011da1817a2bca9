// ls: names of a directory, one a line, and with -l the stat() of each. The columns are busybox's.
import { KernelError, strerror } from "@hetmem/kernel";
import { compareNames, type Stat } from "@hetmem/vfs";
import { parseOptions } from "../options.ts";
import { type Program, type ProgramContext } from "../program.ts";

/** One line of a listing. */
interface Listed {
  readonly name: string;
  readonly path: string;
}

export const ls: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "1AadlhinrRtFC");
  const files: Listed[] = [];
  const directories: Listed[] = [];
  let status = 0;
  for (const name of operands.length > 0 ? [...operands].sort(compareNames) : ["."]) {
    const path = io.path(name);
    try {
      // With -l a link that is an operand is shown, not followed.
      const { kind } =
        flags.has("l") && io.vfs.lstat(path).kind === "link" ? io.vfs.lstat(path) : statOrLink(io, path);
      (kind === "directory" && !flags.has("d") ? directories : files).push({ name, path });
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.err(`ls: ${name}: ${strerror(error.errno)}\n`);
      status = 1;
    }
  }
  printAll(io, files, flags);
  let first = files.length === 0;
  const titled = files.length + directories.length > 1 || flags.has("R");
  for (const directory of flags.has("R")
    ? directories.flatMap((top) => withDirectoriesBelow(io, top, flags))
    : directories) {
    if (titled) io.out(`${first ? "" : "\n"}${directory.name}:\n`);
    first = false;
    printDirectory(io, directory, flags);
  }
  return status;
};

/** The stat() of a path; of the link itself where it leads nowhere. */
function statOrLink(io: ProgramContext, path: string): Stat {
  return io.vfs.exists(path) ? io.vfs.stat(path) : io.vfs.lstat(path);
}

function printDirectory(io: ProgramContext, { path }: Listed, flags: ReadonlySet<string>): void {
  const all = flags.has("a") || flags.has("A");
  const names = io.vfs
    .list(path)
    .map(({ name }) => name)
    .filter((name) => all || !name.startsWith("."));
  if (flags.has("r")) names.reverse();
  const entries = [...(flags.has("a") ? [".", ".."] : []), ...names].map((name) => ({
    name,
    path: `${path}/${name}`,
  }));
  if (flags.has("l"))
    io.out(`total ${entries.reduce((sum, entry) => sum + io.vfs.lstat(entry.path).blocks / 2, 0)}\n`);
  printAll(io, entries, flags);
}

function withDirectoriesBelow(io: ProgramContext, directory: Listed, flags: ReadonlySet<string>): Listed[] {
  const below = io.vfs
    .list(directory.path)
    .filter(({ name, kind }) => kind === "directory" && (flags.has("a") || !name.startsWith(".")));
  return [
    directory,
    ...below.flatMap(({ name }) =>
      withDirectoriesBelow(
        io,
        { name: `${directory.name}/${name}`, path: `${directory.path}/${name}` },
        flags,
      ),
    ),
  ];
}

function printAll(io: ProgramContext, entries: readonly Listed[], flags: ReadonlySet<string>): void {
  for (const entry of entries) {
    const mark = flags.has("F") && statOrLink(io, entry.path).kind === "directory" ? "/" : "";
    io.out(flags.has("l") ? longLine(io, entry) : `${entry.name}${mark}\n`);
  }
}

function longLine(io: ProgramContext, { name, path }: Listed): string {
  const stat = io.vfs.lstat(path);
  const size = stat.device ? `${stat.device.major}, ${`${stat.device.minor}`.padStart(3)}` : `${stat.size}`;
  const target = stat.kind === "link" ? ` -> ${io.vfs.readlink(path)}` : "";
  const links = `${stat.nlink}`.padStart(4);
  return `${modeText(stat)} ${links} 0        0        ${size.padStart(9)} ${dateText(io.machine.kernel.clock.nowNs)} ${name}${target}\n`;
}

function modeText({ kind, mode, device }: Stat): string {
  const type = device ? "c" : { directory: "d", link: "l", file: "-" }[kind];
  const bits = Array.from("rwxrwxrwx", (letter, index) => (mode & (0o400 >> index) ? letter : "-"));
  return type + bits.join("");
}

/** Machines boot on the first of January at midnight. */
function dateText(nowNs: number): string {
  const minutes = Math.floor(nowNs / 60e9);
  return `Jan ${`${1 + (Math.floor(minutes / 1440) % 31)}`.padStart(2)} ${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}`;
}

function two(value: number): string {
  return `${value}`.padStart(2, "0");
}
