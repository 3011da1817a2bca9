// swapon and swapoff: swap areas come into use and go out of it. `-a` takes the areas of the machine file, which stands for
// /etc/fstab. No disk stands behind a path here, so --size gives the size of an area that the machine file doesn't list.
// User space counterpart: swapon(8) of util-linux.
import { KernelError, pagesToKiB, type Sleeps, strerror, writeSize } from "@hetmem/kernel";
import { swapoff as systemSwapoff, type SwaponRequest, swapSpace } from "@hetmem/reclaim";
import { explanationOf, parseOptions, sizeOf, UsageProblem } from "@hetmem/shell";
import { type Program, type ProgramContext, userSpaceOf } from "./machine-program.ts";

const SWAPON_FAILED = 255;
const SWAPOFF_NO_MEMORY = 2;
const SWAPOFF_FAILED = 4;

export const swapon: Program = function* (io, args) {
  const { vm, swapAreas } = userSpaceOf(io);
  const { flags, values, operands } = parseOptions(args, "asSp:z:", {
    long: { all: "a", summary: "s", show: "S", priority: "p", size: "z" },
  });
  if (flags.has("s")) io.out(yield* io.vfs.read("/proc/swaps"));
  else if (flags.has("a")) {
    const inUse = vm.swap.areas.map(({ path }) => path);
    const idle = swapAreas.filter(({ path }) => !inUse.includes(path));
    return idle.reduce((status, area) => take(io, area) || status, 0);
  } else if (operands.length === 0) show(io);
  const priority = values.get("p");
  const given = values.get("z");
  let status = 0;
  for (const path of operands) {
    const size =
      given === undefined
        ? swapAreas.find((area) => area.path === path)?.size
        : sizeOf(given, undefined, SWAPON_FAILED);
    if (size === undefined)
      throw new UsageProblem(
        `cannot open ${path}: No such file or directory; --size makes it`,
        SWAPON_FAILED,
      );
    status =
      take(io, { path, size, ...(priority !== undefined && { priority: Number(priority) }) }) || status;
  }
  return status;
};

export const swapoff: Program = function* (io, args) {
  const { vm } = userSpaceOf(io);
  const { flags, operands } = parseOptions(args, "a", { long: { all: "a" } });
  const paths = flags.has("a") ? vm.swap.areas.map(({ path }) => path) : operands;
  if (paths.length === 0 && !flags.has("a")) throw new UsageProblem("bad usage: swapoff PATH, or -a", 16);
  let status = 0;
  for (const path of paths) status = (yield* giveUp(io, path)) || status;
  return status;
};

function take(io: ProgramContext, area: SwaponRequest): number {
  try {
    swapSpace(userSpaceOf(io).vm).swapon(area);
    return 0;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    io.err(`${io.name}: ${area.path}: swapon failed: ${strerror(error.errno)}\n${explanationOf(error)}`);
    return SWAPON_FAILED;
  }
}

function* giveUp(io: ProgramContext, path: string): Sleeps<number> {
  try {
    yield* systemSwapoff(userSpaceOf(io).vm, path);
    return 0;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    io.err(`${io.name}: ${path}: swapoff failed: ${strerror(error.errno)}\n${explanationOf(error)}`);
    return error.errno === "ENOMEM" ? SWAPOFF_NO_MEMORY : SWAPOFF_FAILED;
  }
}

/** The table of `swapon --show`; nothing without swap. */
function show(io: ProgramContext): void {
  const rows = userSpaceOf(io).vm.swap.areas.map(({ path, kind, pages, used, priority }) => [
    path,
    kind,
    kilobytes(pages),
    kilobytes(used),
    `${priority}`,
  ]);
  if (rows.length === 0) return;
  const table = [["NAME", "TYPE", "SIZE", "USED", "PRIO"], ...rows];
  const width = (column: number): number => Math.max(...table.map((row) => (row[column] ?? "").length));
  for (const [name = "", type = "", size = "", used = "", priority = ""] of table) {
    // Bounded: by the longest text of the column, a path or a number.
    const right = [size.padStart(width(2)), used.padStart(width(3)), priority.padStart(width(4))];
    // Bounded: likewise.
    io.out(`${name.padEnd(width(0))} ${type.padEnd(width(1))} ${right.join(" ")}\n`);
  }
}

function kilobytes(pages: number): string {
  return writeSize(pagesToKiB(pages) * 1024);
}
