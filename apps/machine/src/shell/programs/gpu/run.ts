// gpu run: a kernel on the device, over addresses of the process. It reaches them through the device's page table alone.
import type { GpuContext } from "@hetmem/gpu";
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { UsageProblem } from "../../program.ts";
import { hexDump } from "../hex-dump.ts";
import { addressOf, sizeOf, type Verbs } from "../verbs.ts";
import { contextOf, gpuNamed } from "./device.ts";

/** What the device computes. @returns what is printed */
type Operation = (context: GpuContext, start: VirtAddr, length: number, value: string) => Sleeps<string>;

/** Bytes of what an atomic operation is about. */
const WORD = 4;

const OPERATIONS: Readonly<Record<string, Operation>> = {
  *read(context, start, length) {
    const bytes = new Uint8Array(length);
    yield* context.read(start, bytes);
    return hexDump(start, bytes);
  },
  /** A text again and again, until all is written. */
  *write(context, start, length, value) {
    if (value === "") throw new UsageProblem("write what? A text behind the length");
    yield* context.write(start, Buffer.alloc(length, value, "latin1"));
    return "";
  },
  /** Each word by itself; what was there before is printed. */
  *add(context, start, length, value) {
    if (!/^-?\d{0,10}$/.test(value)) throw new UsageProblem(`"${value}" is not a number`);
    const lines: string[] = [];
    for (let at = 0; at + WORD <= length; at += WORD)
      lines.push(`${yield* context.atomicAdd((start + at) as VirtAddr, Number(value || 1))}\n`);
    return lines.join("");
  },
};

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
      const context = yield* contextOf(call, gpuNamed(call.io, name), pid);
      call.io.out(yield* operation(context, start, size, value));
      return 0;
    },
  },
};
