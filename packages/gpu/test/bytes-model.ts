// What processes should read, as plain bytes: no pages, no devices. Of devices it knows one thing: what may be there, and
// so may be lost when one is reset. A page is there only if somebody moved it there, and the cpu hasn't fetched it since.

export const PAGE = 4096;
/** Pages of private anonymous memory, and behind them those of a file in memory that everybody maps. */
export const ANON_PAGES = 8;
export const PAGES: number = ANON_PAGES + 2;

/** What the model knows of a page of a process. */
export interface ModelPage {
  mapped: boolean;
  writable: boolean;
  /** The device that had it is reset or dead, and its contents are gone. */
  lost: boolean;
  /** The cpu has had it in its own memory since a device last might have taken it. */
  home: boolean;
  /** Bytes that aren't zero, by offset. */
  bytes: Map<number, number>;
}

export class ModelProcess {
  readonly pages: ModelPage[];

  constructor(pages: ModelPage[]) {
    this.pages = pages;
  }

  page(index: number): ModelPage {
    return this.pages[index % PAGES] as ModelPage;
  }

  /** A copy that shares the file alone. */
  fork(): ModelProcess {
    return new ModelProcess(
      this.pages.map((page, index) => ({
        ...page,
        bytes: index < ANON_PAGES ? new Map(page.bytes) : page.bytes,
      })),
    );
  }
}

export class Model {
  readonly processes: ModelProcess[] = [];
  /** By device: pages that somebody moved there, by their place in the address space. */
  readonly moved: readonly Set<number>[];

  constructor(devices: number) {
    this.moved = Array.from({ length: devices }, () => new Set<number>());
    this.processes.push(
      new ModelProcess(
        Array.from({ length: PAGES }, () => ({
          mapped: true,
          writable: true,
          lost: false,
          home: true,
          bytes: new Map<number, number>(),
        })),
      ),
    );
  }

  /** Somebody lets a device have a page, whose it ever is: forks may share it. */
  mayMove(device: number, index: number): void {
    if (index >= ANON_PAGES) return;
    this.moved[device]?.add(index);
    for (const process of this.processes) process.page(index).home = false;
  }

  /** Nothing is on a device any more. */
  emptied(device: number): void {
    this.moved[device]?.clear();
  }

  /** Whether a reset of a device may lose a page of a process. */
  mayLose(device: number, process: ModelProcess, index: number): boolean {
    const { mapped, home } = process.page(index);
    return mapped && !home && this.moved[device]?.has(index) === true;
  }

  unmap(process: ModelProcess, index: number): void {
    process.pages[index] = { mapped: false, writable: false, lost: false, home: true, bytes: new Map() };
  }

  /** The page reads as zeros again: MADV_DONTNEED. */
  forget(page: ModelPage, index: number): void {
    page.lost = false;
    page.home = true;
    if (index < ANON_PAGES) page.bytes = new Map();
  }
}
