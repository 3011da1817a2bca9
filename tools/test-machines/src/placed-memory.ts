// Process memory in tests about placement: mapped, filled with bytes that identify the page, and located by node.
import { outcome } from "./outcome.ts";
import { type NodeId, type Page, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { MapFlag, mmap, type Process, Prot, readUser, writeUser } from "@hetmem/mm";
import { Foll, followPage } from "@hetmem/mm/faultin";
import { mmOf, pageAt } from "./vm-machine.ts";

/** Maps `pages` pages of anonymous memory. */
export function map(process: Process, pages: number, flags: number = MapFlag.PRIVATE): VirtAddr {
  const request = { length: pages * 4096, prot: Prot.READ | Prot.WRITE, flags: flags | MapFlag.ANONYMOUS };
  return run(mmap(mmOf(process), request));
}

/** Writes its name to each page. */
export function* fillTask(process: Process, start: VirtAddr, pages: number): Sleeps<void> {
  for (let i = 0; i < pages; i++) yield* writeUser(process, pageAt(start, i), nameOf(process, i));
}

export function fill(process: Process, start: VirtAddr, pages: number): void {
  run(fillTask(process, start, pages));
}

/** @throws Error for the first page that doesn't hold its name */
export function* checkTask(process: Process, start: VirtAddr, pages: number, writer = process): Sleeps<void> {
  for (let i = 0; i < pages; i++) {
    const wanted = nameOf(writer, i);
    const bytes = new Uint8Array(wanted.length);
    const signal = yield* readUser(process, pageAt(start, i), bytes);
    if (signal) throw new Error(`page ${i} of process ${process.pid}: ${signal.signo} ${signal.reason}`);
    if (!bytes.every((byte, n) => byte === wanted[n]))
      throw new Error(`page ${i} of process ${process.pid} lost what was written`);
  }
}

export function check(process: Process, start: VirtAddr, pages: number, writer = process): void {
  run(checkTask(process, start, pages, writer));
}

/** The page at an address. */
export function pageBehind(process: Process, address: VirtAddr): Page {
  const page = pageOf(process, address);
  if (page === undefined) throw new Error(`no page at 0x${address.toString(16)}`);
  return page;
}

function pageOf(process: Process, address: VirtAddr): Page | undefined {
  const vma = mmOf(process).vmas.at(address);
  const page = vma === undefined ? 0 : followPage(vma, address, Foll.FORCE);
  return page > 0 ? (page as Page) : undefined;
}

/** The node of each page of a range; -1 for an absent page. */
export function nodesOf(process: Process, start: VirtAddr, pages: number): (NodeId | -1)[] {
  const mm = mmOf(process);
  return Array.from({ length: pages }, (_, i) => {
    const page = pageOf(process, pageAt(start, i));
    return page === undefined ? -1 : mm.vm.memmap.nodeOf(page);
  });
}

/** "done", or the errno of a task that failed with a KernelError. */
export function outcomeOf(task: () => Sleeps<unknown>): string {
  return outcome(() => run(task()));
}

function nameOf(process: Process, page: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(process.pid, page + 1).buffer);
}
