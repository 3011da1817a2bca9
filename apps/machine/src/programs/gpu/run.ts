// gpu run: a kernel on the device, over addresses of the process. It reaches them through the device's page table alone.
import type { DeviceContext } from "@hetmem/gpu/driver";
import { MiB, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { sizeOf, UsageProblem } from "@hetmem/shell";
import { bytesOf } from "@hetmem/vfs";
import { HexDump } from "../hex-dump.ts";
import { addressOf, processOf, type Verbs } from "../verbs.ts";
import type { MachineGpu } from "../../machine/devices/machine-gpu.ts";
import { gpuNamed, noRequest } from "./device.ts";

/** The computation of the device on one piece of the range. @returns its output */
type Operation = (context: DeviceContext, job: Job, start: VirtAddr, length: number) => Sleeps<string>;

interface Job {
  readonly gpu: MachineGpu;
  readonly value: string;
  readonly dump: HexDump;
  readonly end: number;
}

/** Bytes of the word of an atomic operation. */
const WORD = 4;
/** The most bytes of one request to the device. */
const PIECE = 16 * MiB;

const OPERATIONS: Readonly<Record<string, Operation>> = {
  *read(context, { dump, end }, start, length) {
    const bytes = new Uint8Array(length);
    yield* context.read(start, bytes);
    return dump.lines(bytes, start + length >= end);
  },
  /** Writes a text over and over, until the range is full. */
  *write(context, { value }, start, length) {
    // Bounded: by a piece of the range.
    yield* context.write(start, bytesOf(value.repeat(Math.ceil(length / value.length)).slice(0, length)));
    return "";
  },
  /** Adds to each word atomically, and prints its value before. */
  *add(context, { gpu, value }, start, length) {
    const lines: string[] = [];
    for (let at = 0; at + WORD <= length; at += WORD) {
      const word = (start + at) as VirtAddr;
      const before = yield* context.atomicAdd?.(word, Number(value || 1)) ?? noRequest(gpu, "atomicAdd");
      lines.push(`${before}\n`);
    }
    return lines.join("");
  },
};

/** Bytes of a piece: a multiple of the text, so that the next piece goes on where it ended. @throws UsageProblem */
function pieceOf(word: string, value: string): number {
  if (word === "add" && !/^-?\d{0,10}$/.test(value)) throw new UsageProblem(`"${value}" is not a number`);
  if (word !== "write") return PIECE;
  if (value === "") throw new UsageProblem("write what? A text behind the length");
  return Math.floor(PIECE / value.length) * value.length;
}

export const RUN: Verbs = {
  run: {
    usage: "NAME PID read|write|add ADDR LENGTH [TEXT|NUMBER]",
    summary:
      "print bytes; write a text over and over; add a number (1) to each 32 bits, atomically, and print what was there",
    operands: [5, 6],
    *run(call) {
      const [name = "", pid = "", word = "", address = "", length = "", value = ""] = call.operands;
      const operation = Object.hasOwn(OPERATIONS, word) ? OPERATIONS[word] : undefined;
      if (!operation)
        throw new UsageProblem(`a gpu can't "${word}": write ${Object.keys(OPERATIONS).join(", ")}`);
      const [start, size] = [addressOf(address), sizeOf(length)];
      const gpu = gpuNamed(call.io, name);
      const process = processOf(call, pid);
      const piece = pieceOf(word, value);
      const job = { gpu, value, dump: new HexDump(start), end: start + size };
      for (let at: number = start; at < job.end; at += piece) {
        const bytes = Math.min(piece, job.end - at);
        call.io.out(yield* gpu.request(process, (context) => operation(context, job, at as VirtAddr, bytes)));
        yield* call.io.turn();
      }
      return 0;
    },
  },
};
