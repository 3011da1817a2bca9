// free: the memory of the machine in one table, from /proc/meminfo, as procps 4 counts it.
import { fieldsOf } from "@hetmem/vfs";
import { parseOptions } from "../options.ts";
import type { Program } from "../program.ts";

const TITLES = ["total", "used", "free", "shared", "buff/cache", "available"];

export const free: Program = function* (io, args) {
  const { flags } = parseOptions(args, "bkmg");
  const unit = flags.has("b") ? 1 / 1024 : flags.has("m") ? 1024 : flags.has("g") ? 1024 ** 2 : 1;
  const meminfo = fieldsOf(yield* io.vfs.read("/proc/meminfo"));
  const of = (label: string): number => meminfo.get(label) ?? 0;
  const [total, available, swap, swapFree] = [
    of("MemTotal"),
    of("MemAvailable"),
    of("SwapTotal"),
    of("SwapFree"),
  ];
  const cache = of("Buffers") + of("Cached") + of("SReclaimable");
  const row = (label: string, kilobytes: readonly number[]): string =>
    `${label.padEnd(8)}${kilobytes.map((value) => ` ${`${Math.floor(value / unit)}`.padStart(11)}`).join("")}\n`;
  io.out(`${" ".repeat(8)}${TITLES.map((title) => ` ${title.padStart(11)}`).join("")}\n`);
  io.out(row("Mem:", [total, Math.max(0, total - available), of("MemFree"), of("Shmem"), cache, available]));
  io.out(row("Swap:", [swap, swap - swapFree, swapFree]));
  return 0;
};
