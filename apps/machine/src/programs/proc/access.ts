// proc touch, read, write and flush: accesses of a process to its memory, as its cpu makes them. An access that raises a
// signal ends the process, which handles none, and the program as if the shell had started that process itself.
import { PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  exitProcess,
  type Process,
  readUser,
  type Signal,
  touchUser,
  writebackUser,
  writeUser,
} from "@hetmem/mm";
import { sizeOf } from "@hetmem/shell";
import { bytesOf } from "@hetmem/vfs";
import { addressOf, type Call, hex, processOf, type Verbs } from "../verbs.ts";
import { HexDump } from "../hex-dump.ts";

/** Bytes that are read at a time. */
const CHUNK = 65_536;

/** By signal: the line that a shell prints for a child that it ended, and the status, 128 + the signal's number. */
const ENDINGS: Readonly<Record<Signal["signo"], readonly [text: string, status: number]>> = {
  SIGBUS: ["Bus error", 135],
  SIGKILL: ["Killed", 137],
  SIGSEGV: ["Segmentation fault", 139],
};

export const ACCESS: Verbs = {
  touch: {
    usage: "PID ADDR LENGTH [--read]",
    summary: "touch a byte of each page, writing it unless --read",
    operands: [3, 3],
    options: { read: "r" },
    *run(call) {
      const [pid = "", address = "", length = ""] = call.operands;
      const process = processOf(call, pid);
      const start = addressOf(address);
      const end = start + sizeOf(length);
      for (let at: number = start; at < end; at = (Math.floor(at / PAGE_SIZE) + 1) * PAGE_SIZE) {
        const signal = call.options.flags.has("r")
          ? yield* readUser(process, at as VirtAddr, new Uint8Array(1))
          : yield* touchUser(process, at as VirtAddr);
        if (signal) return yield* die(call, process, signal);
        if (at % CHUNK === 0) yield* call.io.turn();
      }
      return 0;
    },
  },
  read: {
    usage: "PID ADDR LENGTH",
    summary: "print bytes, as xxd does",
    operands: [3, 3],
    *run(call) {
      const [pid = "", address = "", length = ""] = call.operands;
      const process = processOf(call, pid);
      const start = addressOf(address);
      const dump = new HexDump(start);
      const end = start + sizeOf(length);
      for (let at: number = start; at < end; at += CHUNK) {
        const bytes = new Uint8Array(Math.min(CHUNK, end - at));
        const signal = yield* readUser(process, at as VirtAddr, bytes);
        if (signal) return yield* die(call, process, signal);
        call.io.out(dump.lines(bytes, at + CHUNK >= end));
        yield* call.io.turn();
      }
      return 0;
    },
  },
  write: {
    usage: "PID ADDR TEXT",
    summary: "write a text",
    operands: [3, 3],
    *run(call) {
      const [pid = "", address = "", text = ""] = call.operands;
      const process = processOf(call, pid);
      const signal = yield* writeUser(process, addressOf(address), bytesOf(text));
      return signal ? yield* die(call, process, signal) : 0;
    },
  },
  flush: {
    usage: "PID ADDR LENGTH",
    summary: "write cache lines back, as clwb does",
    operands: [3, 3],
    *run(call) {
      const [pid = "", address = "", length = ""] = call.operands;
      const process = processOf(call, pid);
      const signal = yield* writebackUser(process, addressOf(address), sizeOf(length));
      return signal ? yield* die(call, process, signal) : 0;
    },
  },
};

function* die({ io }: Call, process: Process, signal: Signal): Sleeps<number> {
  const [text, status] = ENDINGS[signal.signo];
  const where = signal.signo === "SIGKILL" ? "" : `${signal.code} at ${hex(signal.address)}: `;
  io.err(`${text}\n    ${where}${signal.reason}\n`);
  yield* exitProcess(process);
  return status;
}
