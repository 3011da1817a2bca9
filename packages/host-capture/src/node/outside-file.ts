// Files that a user names. Such a file may hold anything, and its name may stand for a device or a pipe that never ends: reads are
// bounded, and a file that can't be used is refused in a sentence that names the file and the fix.
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  type Stats,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { KernelError, nearestName, writeSize } from "@hetmem/kernel";

/** Bytes of a script, a transcript, or piped input at most. */
export const INPUT_BYTES_MAX: number = 16 * 1024 * 1024;
const PIECE_BYTES = 64 * 1024;
/** Milliseconds between two reads of an empty pipe, and until an empty pipe is given up. */
const PIPE_LOOKS_MS = 10;
const PIPE_PATIENCE_MS = 5000;

export interface OutsideFile {
  readonly file: string;
  readonly bytesMax: number;
  /** The fix, for the end of a sentence. */
  readonly fix: string;
}

/**
 * Reads a regular file or a pipe.
 *
 * @throws KernelError ENOENT, EISDIR, ENODEV for a device or a socket, EACCES, EFBIG, EINVAL or EAGAIN for a pipe that nothing comes from
 */
export function readOutsideFile(wanted: OutsideFile): Buffer {
  const { file, fix } = wanted;
  refuseOtherKinds(
    wanted,
    unlessRefused(wanted, () => statSync(file, { throwIfNoEntry: false })),
  );
  // Without O_NONBLOCK, opening a named pipe waits for a writer.
  const fd = unlessRefused(wanted, () => openSync(file, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    const bytes = unlessRefused(wanted, () => readToEnd(fd, wanted, PIPE_PATIENCE_MS));
    if (bytes.length === 0 && fstatSync(fd).isFIFO())
      throw new KernelError("EINVAL", `${file} is a pipe that nobody writes to: ${fix}`);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** Reads a file of text. @throws KernelError EINVAL for what is no text in UTF-8 */
export function readOutsideText(wanted: OutsideFile): string {
  return decodeText(readOutsideFile(wanted), wanted);
}

/** Reads piped input to its end. @throws KernelError EFBIG, EINVAL */
export function readPipedText(fd: number): string {
  const wanted = { file: "the input", bytesMax: INPUT_BYTES_MAX, fix: "pipe in less" };
  return decodeText(readToEnd(fd, wanted, Number.POSITIVE_INFINITY), wanted);
}

function decodeText(bytes: Buffer, { file, fix }: OutsideFile): string {
  const kind = archiveKind(bytes);
  if (kind !== undefined) throw new KernelError("EINVAL", `${file} is ${kind}, not text: ${fix}`);
  if (bytes.includes(0)) throw new KernelError("EINVAL", `${file} is not text, it has zero bytes: ${fix}`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new KernelError("EINVAL", `${file} is not text in UTF-8: ${fix}`);
  }
}

function archiveKind(bytes: Buffer): string | undefined {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return "a gzip file";
  return bytes.toString("latin1", 257, 262) === "ustar" ? "a tar archive" : undefined;
}

function refuseOtherKinds({ file, fix }: OutsideFile, kind: Stats | undefined): void {
  if (!kind) throw new KernelError("ENOENT", `${file} does not exist${nearestIn(file)}: ${fix}`);
  if (kind.isDirectory()) throw new KernelError("EISDIR", `${file} is a folder: ${fix}`);
  if (!kind.isFile() && !kind.isFIFO())
    throw new KernelError("ENODEV", `${file} is not a file but a device: ${fix}`);
}

/** ", but laptop.yaml does": the file beside it that may have been meant. */
function nearestIn(file: string): string {
  const names = unlessCode(() => readdirSync(dirname(file))) ?? [];
  const nearest = nearestName(basename(file), names);
  return nearest === undefined ? "" : `, but ${join(dirname(file), nearest)} does`;
}

function readToEnd(fd: number, { file, bytesMax, fix }: OutsideFile, patienceMs: number): Buffer {
  const pieces: Buffer[] = [];
  let length = 0;
  let waitedMs = 0;
  // Ends: at the end of the file, past the most that is read of it, or when a pipe has brought nothing for so long.
  for (;;) {
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    const count = readPiece(fd, piece);
    if (count === 0) return Buffer.concat(pieces, length);
    if (count === undefined) {
      if (waitedMs >= patienceMs)
        throw new KernelError(
          "EAGAIN",
          `${file} is a pipe, and nothing came from it for ${patienceMs / 1000} seconds: ${fix}`,
        );
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PIPE_LOOKS_MS);
      waitedMs += PIPE_LOOKS_MS;
      continue;
    }
    waitedMs = 0;
    length += count;
    if (length > bytesMax)
      throw new KernelError(
        "EFBIG",
        `${file} is larger than ${writeSize(bytesMax)}, the most that is read of it: ${fix}`,
      );
    pieces.push(piece.subarray(0, count));
  }
}

/** @returns undefined while a pipe is empty and has a writer */
function readPiece(fd: number, into: Buffer): number | undefined {
  try {
    return readSync(fd, into);
  } catch (error) {
    if (error instanceof Error && codeOf(error) === "EAGAIN") return undefined;
    // Windows reports the end of a terminal or a pipe so.
    if (error instanceof Error && codeOf(error) === "EOF") return 0;
    throw error;
  }
}

/** Converts an error of the host to a KernelError with a sentence. */
function unlessRefused<T>({ file, fix }: OutsideFile, access: () => T): T {
  try {
    return access();
  } catch (error) {
    const code = codeOf(error);
    if (error instanceof KernelError || code === undefined) throw error;
    if (code === "EACCES" || code === "EPERM")
      throw new KernelError("EACCES", `${file} may not be read: change its permissions, or ${fix}`);
    if (code === "ENOTDIR" || code === "ENAMETOOLONG" || code === "ELOOP")
      throw new KernelError("ENOENT", `${file} does not exist: ${fix}`);
    throw new KernelError("EIO", `${file} can't be read, the host says ${code}: ${fix}`);
  }
}

function unlessCode<T>(access: () => T): T | undefined {
  try {
    return access();
  } catch (error) {
    if (error instanceof Error && codeOf(error) !== undefined) return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
