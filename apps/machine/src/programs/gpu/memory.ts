// gpu migrate, evict and snapshot: moves pages, and shows where they are. A verb that moves pages prints how many moved.
import { DmirrorProt } from "@hetmem/gpu/driver";
import { PAGE_SIZE } from "@hetmem/kernel";
import { sizeOf, UsageProblem } from "@hetmem/shell";
import { addressOf, processOf, type Verbs } from "../verbs.ts";
import { GPU_OPTION, gpuOf, noOperation, noRequest } from "./device.ts";

export const MEMORY: Verbs = {
  migrate: {
    usage: "PID ADDR LENGTH [--back] [--gpu NAME]",
    summary: "move pages to the device, or back; those that can't, stay. Prints how many moved",
    operands: [3, 3],
    options: { back: "b", ...GPU_OPTION },
    *run(call) {
      const [pid = "", address = "", length = ""] = call.operands;
      const [start, size] = [addressOf(address), sizeOf(length)];
      const gpu = gpuOf(call);
      const back = call.options.flags.has("b");
      const moved = yield* gpu.request(processOf(call, pid), (context) =>
        back
          ? (context.migrateBack?.(start, size) ?? noRequest(gpu, "migrateBack"))
          : (context.migrateTo?.(start, size) ?? noRequest(gpu, "migrateTo")),
      );
      call.io.out(`${moved}\n`);
      return 0;
    },
  },
  evict: {
    usage: "[--pages N] [--gpu NAME]",
    summary: "empty the device's memory, what wasn't used lately first. Prints how many pages went",
    operands: [0, 0],
    options: { pages: "n:", ...GPU_OPTION },
    *run(call) {
      const gpu = gpuOf(call);
      const wanted = call.options.values.get("n");
      if (wanted !== undefined && !/^\d{1,10}$/.test(wanted))
        throw new UsageProblem(`"${wanted}" is not a number of pages`);
      const pages = wanted === undefined ? (gpu.device.memory?.usedPages ?? 0) : Number(wanted);
      call.io.out(`${yield* gpu.device.evict?.(pages) ?? noOperation(gpu, "evict")}\n`);
      return 0;
    },
  },
  snapshot: {
    usage: "PID ADDR LENGTH [--gpu NAME]",
    summary: "what the device would reach, in the bytes of the kernel's test driver; nothing faults",
    operands: [3, 3],
    options: GPU_OPTION,
    *run(call) {
      const [pid = "", address = "", length = ""] = call.operands;
      const [start, size] = [addressOf(address), sizeOf(length)];
      const gpu = gpuOf(call);
      const bytes = yield* gpu.request(
        processOf(call, pid),
        (context) => context.snapshot?.(start, size) ?? noRequest(gpu, "snapshot"),
      );
      call.io.out(runsText(start, bytes));
      return 0;
    },
  },
};

/** A line for each run of pages with the same byte. */
function runsText(start: number, pages: Uint8Array): string {
  const lines: string[] = [];
  for (let first = 0; first < pages.length;) {
    const byte = pages[first] ?? 0;
    const change = pages.findIndex((other, at) => at > first && other !== byte);
    const end = change < 0 ? pages.length : change;
    const range = [first, end].map((page) => (start + page * PAGE_SIZE).toString(16)).join("-");
    lines.push(`${range} ${byte.toString(16).padStart(2, "0")} ${wordsFor(byte)}\n`);
    first = end;
  }
  return lines.join("");
}

const PLACES: Readonly<Record<number, string>> = {
  [DmirrorProt.zero]: "the zero page",
  [DmirrorProt.devPrivateLocal]: "private memory of this device",
  [DmirrorProt.devPrivateRemote]: "private memory of another device",
  [DmirrorProt.devCoherentLocal]: "coherent memory of this device",
  [DmirrorProt.devCoherentRemote]: "coherent memory of another device",
};

/** "read and write, private memory of this device". */
function wordsFor(byte: number): string {
  if (byte === DmirrorProt.error) return "can't be reached";
  if (byte === DmirrorProt.none) return "nothing";
  const access = (byte & DmirrorProt.write) !== 0 ? "read and write" : "read";
  const size =
    (byte & DmirrorProt.pmd) !== 0
      ? ", in a page of 2M"
      : (byte & DmirrorProt.pud) !== 0
        ? ", in a page of 1G"
        : "";
  return `${access}, ${PLACES[byte & 0xf0] ?? "RAM"}${size}`;
}
