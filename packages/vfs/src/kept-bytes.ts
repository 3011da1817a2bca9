// The bytes of plain files outside any machine's pages: in chunks. A chunk is allocated by the first write to it;
// until then it reads as zeros. Kernel counterpart: fs/ramfs/inode.c.
import { KernelError, KiB, MiB, type Sleeps } from "@hetmem/kernel";
import type { FilePages } from "./memory-files.ts";

const CHUNK = 64 * KiB;

interface KeptFile {
  size: number;
  /** The key is the offset divided by CHUNK. */
  readonly chunks: Map<number, Uint8Array>;
}

export class KeptBytes implements FilePages {
  readonly #maxBytes: number;
  readonly #files = new Map<number, KeptFile>();
  #kept = 0;

  /** @param maxBytes the most bytes that the chunks of all files have together; holes have none */
  constructor(maxBytes: number = 256 * MiB) {
    this.#maxBytes = maxBytes;
  }

  size(inode: number): number {
    return this.#files.get(inode)?.size ?? 0;
  }

  *read(inode: number, offset: number, length: number): Sleeps<Uint8Array> {
    const file = this.#files.get(inode);
    const bytes = new Uint8Array(Math.max(0, Math.min(length, (file?.size ?? 0) - offset)));
    // Ends: each turn passes over a byte at least.
    for (let done = 0; done < bytes.length;) {
      const { index, within, room } = placeOf(offset + done);
      const chunk = file?.chunks.get(index);
      const part = bytes.subarray(done, done + room);
      if (chunk) part.set(chunk.subarray(within, within + part.length));
      done += part.length;
    }
    return bytes;
  }

  *write(inode: number, offset: number, bytes: Uint8Array): Sleeps<number> {
    const file = this.#files.get(inode) ?? { size: 0, chunks: new Map<number, Uint8Array>() };
    this.#files.set(inode, file);
    let done = 0;
    // Ends: each turn passes over a byte at least, or there is no room.
    while (done < bytes.length) {
      const { index, within, room } = placeOf(offset + done);
      const part = bytes.subarray(done, done + room);
      const chunk = this.#chunk(file, index);
      if (!chunk) break;
      chunk.set(part, within);
      done += part.length;
    }
    if (done === 0 && bytes.length > 0)
      throw new KernelError(
        "ENOSPC",
        `the files have ${this.#maxBytes} bytes together, which is all there are: remove some`,
      );
    file.size = Math.max(file.size, offset + done);
    return done;
  }

  truncate(inode: number, bytes: number): void {
    const file = this.#files.get(inode);
    if (!file) return;
    for (const [index, chunk] of file.chunks) {
      if (index * CHUNK >= bytes) this.#drop(file, index);
      else if ((index + 1) * CHUNK > bytes) chunk.fill(0, bytes - index * CHUNK);
    }
    file.size = bytes;
  }

  unlink(inode: number): void {
    this.truncate(inode, 0);
    this.#files.delete(inode);
  }

  /** The chunk to write to, allocated if need be; undefined when that would exceed maxBytes. */
  #chunk(file: KeptFile, index: number): Uint8Array | undefined {
    const known = file.chunks.get(index);
    if (known || this.#kept + CHUNK > this.#maxBytes) return known;
    const chunk = new Uint8Array(CHUNK);
    file.chunks.set(index, chunk);
    this.#kept += CHUNK;
    return chunk;
  }

  #drop(file: KeptFile, index: number): void {
    file.chunks.delete(index);
    this.#kept -= CHUNK;
  }
}

/** The chunk of a byte of a file, the byte's offset in the chunk, and the bytes from there to the chunk's end. */
function placeOf(at: number): { index: number; within: number; room: number } {
  const within = at % CHUNK;
  return { index: (at - within) / CHUNK, within, room: CHUNK - within };
}
