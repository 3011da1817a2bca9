// The bytes that processes must read, kept in plain Maps: no pages, no page tables, nothing that can be moved or
// swapped. The machine must agree with it at every read.

export const PAGE = 4096;

/** A file: its non-zero bytes, and its size. */
export interface ModelFile {
  size: number;
  readonly bytes: Map<number, number>;
}

/** The model of one page of an area. */
export interface ModelPage {
  mapped: boolean;
  writable: boolean;
  /** Private file mappings: the page was written, and no longer follows the file. */
  copied: boolean;
}

export interface ModelArea {
  /** Undefined for private anonymous memory. */
  readonly file: ModelFile | undefined;
  readonly shared: boolean;
  /** By page of the area. */
  pages: ModelPage[];
  /** By offset in the area: bytes private to this process. */
  readonly own: Map<number, number>;
}

/** The expected end of an access. */
export type Outcome = "done" | "SEGV_MAPERR" | "SEGV_ACCERR" | "BUS_ADRERR";

export class ModelProcess {
  /** By slot, a place in the address space. */
  readonly areas: Map<number, ModelArea> = new Map();

  /** The expected end of a touch of a byte. */
  outcome(slot: number, offset: number, write: boolean): Outcome {
    const area = this.areas.get(slot);
    const page = area?.pages[Math.floor(offset / PAGE)];
    if (!area || !page?.mapped) return "SEGV_MAPERR";
    if (write && !page.writable) return "SEGV_ACCERR";
    if (area.file && !page.copied && offset >= Math.ceil(area.file.size / PAGE) * PAGE) return "BUS_ADRERR";
    return "done";
  }

  read(slot: number, offset: number): number {
    const area = this.areas.get(slot);
    const page = area?.pages[Math.floor(offset / PAGE)];
    if (area?.file && !page?.copied) return area.file.bytes.get(offset) ?? 0;
    return area?.own.get(offset) ?? 0;
  }

  write(slot: number, offset: number, byte: number): void {
    const area = this.areas.get(slot);
    const page = area?.pages[Math.floor(offset / PAGE)];
    if (!area || !page) return;
    if (area.file && area.shared) {
      area.file.bytes.set(offset, byte);
      return;
    }
    if (area.file && !page.copied) copyPage(area, area.file, Math.floor(offset / PAGE));
    area.own.set(offset, byte);
  }

  /** Pages lose their private bytes: madvise(MADV_DONTNEED). */
  forget(slot: number, first: number, count: number): void {
    const area = this.areas.get(slot);
    if (!area || area.shared) return;
    for (let index = first; index < first + count; index++) dropPage(area, index);
  }

  unmap(slot: number, first: number, count: number): void {
    const area = this.areas.get(slot);
    if (!area) return;
    for (let index = first; index < Math.min(first + count, area.pages.length); index++) {
      dropPage(area, index);
      area.pages[index] = { mapped: false, writable: false, copied: false };
    }
    if (area.pages.every((page) => !page.mapped)) this.areas.delete(slot);
  }

  /** A copy that shares only files. */
  fork(): ModelProcess {
    const child = new ModelProcess();
    for (const [slot, area] of this.areas) {
      const pages = area.pages.map((page) => ({ ...page }));
      child.areas.set(slot, { file: area.file, shared: area.shared, pages, own: new Map(area.own) });
    }
    return child;
  }

  /** Drops pages beyond the end of a truncated file, private copies included. */
  truncated(file: ModelFile): void {
    const end = Math.ceil(file.size / PAGE);
    for (const area of this.areas.values()) {
      if (area.file !== file) continue;
      for (let index = end; index < area.pages.length; index++) dropPage(area, index);
    }
  }
}

/** Truncates a file, or extends it with zeros. Sizes are multiples of the page size. */
export function truncateModel(file: ModelFile, size: number, processes: Iterable<ModelProcess>): void {
  file.size = size;
  for (const offset of file.bytes.keys()) if (offset >= size) file.bytes.delete(offset);
  for (const process of processes) process.truncated(file);
}

function copyPage(area: ModelArea, file: ModelFile, index: number): void {
  for (let offset = index * PAGE; offset < (index + 1) * PAGE; offset++) {
    const byte = file.bytes.get(offset);
    if (byte !== undefined) area.own.set(offset, byte);
  }
  const page = area.pages[index];
  if (page) page.copied = true;
}

function dropPage(area: ModelArea, index: number): void {
  for (const offset of area.own.keys()) if (Math.floor(offset / PAGE) === index) area.own.delete(offset);
  const page = area.pages[index];
  if (page) page.copied = false;
}
