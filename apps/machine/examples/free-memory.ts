// A program of one's own. See docs/ports/small-parts.md.
import type { Program, Programs } from "hetmem";

/** Prints the free memory of each node. It reads files, as a real program does. */
const freenodes: Program = function* (io, args) {
  const nodes = args.length > 0 ? args : ["0"];
  for (const node of nodes) {
    const text = yield* io.vfs.read(`/sys/devices/system/node/node${node}/meminfo`);
    const [, kilobytes = "0"] = /MemFree: +(\d+) kB/.exec(text) ?? [];
    io.out(`node ${node}: ${Math.floor(Number(kilobytes) / 1024)} MiB free\n`);
  }
  return 0;
};

export const programs: Programs = {
  freenodes: { run: freenodes, summary: "free memory of nodes: freenodes NODE ..." },
};
