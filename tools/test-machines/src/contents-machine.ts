// The machine and its model, driven by the same operations: each is a request of a process to the machine, and its
// effect on bytes to the model.
import { KernelError, nodeId, type Sleeps, type VirtAddr, virtAddr } from "@hetmem/kernel";
import { MbindFlag, movePages } from "@hetmem/migrate";
import {
  exitProcess,
  forkProcess,
  Madv,
  MapFlag,
  mmap,
  type MmStruct,
  mprotect,
  mremap,
  MremapFlag,
  munmap,
  type Process,
  Prot,
  readUser,
  type Signal,
  writeUser,
} from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { createDiskFile, fileVmOps, fsyncRange, memfdCreate, OpenFile, truncate } from "@hetmem/page-cache";
import { swapSpace } from "@hetmem/reclaim";
import { type ModelFile, ModelProcess, PAGE, truncateModel } from "./contents-model.ts";
import { type VmMachine, vmMachine, type VmMachineOptions } from "./vm-machine.ts";

/** Number of slots for areas, each a mapping of its own. The last slot takes huge pages. */
export const SLOTS = 6;
export const HUGE_SLOT = 5;
export const SLOT_PAGES = 16;
export const HUGE_PAGES = 1024;
export const FILE_PAGES = 12;
const BASE = 0x10_0000_0000;
const SLOT_BYTES = 64 * 1024 * 1024;
export const KINDS = ["anon", "memfd", "file", "private file"] as const;
export type Kind = (typeof KINDS)[number];

/** Process, place and kind of an operation; numbers are taken modulo the number of processes, areas or pages. */
export type Operation =
  | { op: "map"; who: number; slot: number; kind: Kind; pages: number }
  | { op: "write"; who: number; slot: number; page: number; offset: number; byte: number }
  | { op: "read"; who: number; slot: number; page: number; offset: number }
  | { op: "fork"; who: number }
  | { op: "exit"; who: number }
  | { op: "unmap"; who: number; slot: number; page: number; count: number }
  | { op: "protect"; who: number; slot: number; page: number; count: number; writable: boolean }
  | { op: "move"; who: number; slot: number; to: number; pages: number }
  | {
      op: "advise";
      who: number;
      slot: number;
      page: number;
      count: number;
      advice: "DONTNEED" | "PAGEOUT" | "COLD";
    }
  | { op: "migrate"; who: number; slot: number; node: number }
  | { op: "truncate"; file: number; pages: number }
  | { op: "sync" };

interface Pair {
  readonly process: Process;
  readonly model: ModelProcess;
}

export class ContentsMachine {
  readonly machine: VmMachine;
  readonly pairs: Pair[] = [];
  readonly files: readonly { readonly file: OpenFile; readonly model: ModelFile }[];
  readonly freeAtStart: number;

  /** @param options of the machine: its charging, for instance */
  constructor(options: VmMachineOptions = {}) {
    this.machine = vmMachine({ tunables: { swappiness: 100 }, ...options });
    const { vm } = this.machine;
    swapSpace(vm).swapon({ path: "/dev/swap", size: 8 * 1024 * 1024 });
    this.freeAtStart = this.machine.freePages();
    const contents = Uint8Array.from({ length: FILE_PAGES * PAGE }, (_, i) => (i % 251) + 1);
    const memfd = memfdCreate(vm, "shared", 0);
    const disk = new OpenFile(createDiskFile(vm, 7, contents), {
      path: "/data",
      writable: true,
      vmOps: fileVmOps,
    });
    this.machine.run(truncate(memfd.host, FILE_PAGES * PAGE));
    this.files = [
      { file: memfd, model: { size: FILE_PAGES * PAGE, bytes: new Map() } },
      { file: disk, model: { size: contents.length, bytes: new Map(contents.entries()) } },
    ];
    this.pairs.push({ process: this.machine.spawn(), model: new ModelProcess() });
  }

  /** Applies an operation to both. @throws when machine and model disagree */
  apply(operation: Operation): void {
    switch (operation.op) {
      case "truncate":
        return this.truncate(operation.file, operation.pages * PAGE);
      case "sync":
        for (const { file } of this.files) this.machine.run(fsyncRange(file.mapping));
        return;
      default: {
        const pair = this.pairs[operation.who % this.pairs.length];
        if (pair) this.act(pair, operation);
      }
    }
  }

  /** Whether an error is ENOMEM under allocation fault injection, which the model allows. */
  mayLack(error: unknown): boolean {
    const { armed } = this.machine.kernel.faults.point("fail_page_alloc");
    return armed && error instanceof KernelError && error.errno === "ENOMEM";
  }

  /** Reads every byte that was written, and one byte of each other page. */
  readEverything(): void {
    for (const pair of this.pairs) {
      for (const [slot, area] of pair.model.areas) {
        const offsets = new Set(
          area.file ? [...area.file.bytes.keys()].filter((byte) => byte % 1024 === 0) : [],
        );
        for (const offset of area.own.keys()) offsets.add(offset);
        for (let page = 0; page < Math.min(area.pages.length, SLOT_PAGES); page++) offsets.add(page * PAGE);
        for (const offset of offsets) if (offset < area.pages.length * PAGE) this.read(pair, slot, offset);
      }
    }
  }

  /** Ends every process and removes the files' pages; all memory is free afterwards. */
  finish(): void {
    for (const { process } of this.pairs) this.machine.run(exitProcess(process));
    for (const { file } of this.files) {
      this.machine.run(truncate(file.host, 0));
      this.machine.run(file.close());
    }
  }

  private act({ process, model }: Pair, operation: Exclude<Operation, { op: "truncate" | "sync" }>): void {
    const { mm } = process;
    if (!mm) throw new Error(`process ${process.pid} is dead`);
    const run = <T>(task: Sleeps<T>): T => this.machine.run(task);
    switch (operation.op) {
      case "map":
        return this.map(mm, model, operation.slot % SLOTS, operation.kind, operation.pages);
      case "fork":
        if (this.pairs.length < 4)
          this.pairs.push({ process: run(forkProcess(process)), model: model.fork() });
        return;
      case "exit":
        if (this.pairs.length === 1) return;
        this.pairs.splice(operation.who % this.pairs.length, 1);
        return run(exitProcess(process));
    }
    const slot = operation.slot % SLOTS;
    const area = model.areas.get(slot);
    const pages = area?.pages.length ?? SLOT_PAGES;
    switch (operation.op) {
      case "read":
        return this.read({ process, model }, slot, (operation.page % pages) * PAGE + operation.offset);
      case "write":
        return this.write(
          { process, model },
          slot,
          (operation.page % pages) * PAGE + operation.offset,
          operation.byte,
        );
      case "move":
        return this.move(mm, model, slot, operation.to % HUGE_SLOT, operation.pages);
      case "migrate": {
        const addresses = Array.from({ length: Math.min(pages, SLOT_PAGES) }, (_, i) => at(slot, i * PAGE));
        const nodes = addresses.map(() => nodeId(operation.node % 2));
        run(movePages(process, addresses, nodes, [], MbindFlag.MOVE_ALL));
        return;
      }
    }
    if (!area) return;
    const first = operation.page % pages;
    const count = Math.min(operation.count, pages - first);
    const start = at(slot, first * PAGE);
    switch (operation.op) {
      case "unmap":
        run(munmap(mm, start, count * PAGE));
        return model.unmap(slot, first, count);
      case "protect":
        return this.protect(mm, model, slot, first, count, operation.writable);
      case "advise":
        if (area.pages.slice(first, first + count).some((page) => !page.mapped)) return;
        run(madvise(mm, start, count * PAGE, Madv[operation.advice]));
        if (operation.advice === "DONTNEED") model.forget(slot, first, count);
    }
  }

  private map(mm: MmStruct, model: ModelProcess, slot: number, kind: Kind, wanted: number): void {
    if (model.areas.has(slot)) return;
    const huge = slot === HUGE_SLOT;
    const pages = huge ? HUGE_PAGES : 1 + (wanted % SLOT_PAGES);
    const backing = huge
      ? undefined
      : { anon: undefined, memfd: this.files[0], file: this.files[1], "private file": this.files[1] }[kind];
    const shared = backing !== undefined && kind !== "private file";
    const flags =
      MapFlag.FIXED | (shared ? MapFlag.SHARED : MapFlag.PRIVATE) | (backing ? 0 : MapFlag.ANONYMOUS);
    this.machine.run(
      mmap(mm, {
        address: at(slot, 0),
        length: pages * PAGE,
        prot: Prot.READ | Prot.WRITE,
        flags,
        ...(backing && { file: backing.file }),
      }),
    );
    if (huge) this.machine.run(madvise(mm, at(slot, 0), pages * PAGE, Madv.HUGEPAGE));
    model.areas.set(slot, {
      file: backing?.model,
      shared,
      pages: Array.from({ length: pages }, () => ({ mapped: true, writable: true, copied: false })),
      own: new Map(),
    });
  }

  private read({ process, model }: Pair, slot: number, offset: number): void {
    const into = new Uint8Array(1);
    const signal = this.access({ process, model }, readUser(process, at(slot, offset), into));
    if (signal === "killed") return;
    const expected = model.outcome(slot, offset, false);
    expectEqual(
      signal?.code ?? "done",
      expected,
      `read of slot ${slot} + 0x${offset.toString(16)} by ${process.pid}`,
    );
    if (expected === "done")
      expectEqual(
        into[0],
        model.read(slot, offset),
        `slot ${slot} + 0x${offset.toString(16)} of ${process.pid}`,
      );
  }

  private write({ process, model }: Pair, slot: number, offset: number, byte: number): void {
    const signal = this.access({ process, model }, writeUser(process, at(slot, offset), Uint8Array.of(byte)));
    if (signal === "killed") return;
    const expected = model.outcome(slot, offset, true);
    expectEqual(
      signal?.code ?? "done",
      expected,
      `write to slot ${slot} + 0x${offset.toString(16)} by ${process.pid}`,
    );
    if (expected === "done") model.write(slot, offset, byte);
  }

  private protect(
    mm: MmStruct,
    model: ModelProcess,
    slot: number,
    first: number,
    count: number,
    writable: boolean,
  ): void {
    const pages = model.areas.get(slot)?.pages.slice(first, first + count) ?? [];
    if (pages.some((page) => !page.mapped)) return;
    this.machine.run(
      mprotect(mm, at(slot, first * PAGE), count * PAGE, writable ? Prot.READ | Prot.WRITE : Prot.READ),
    );
    for (const page of pages) page.writable = writable;
  }

  /** Runs an access. A process that is killed by it leaves the machine. */
  private access({ process, model }: Pair, task: Sleeps<Signal | undefined>): Signal | undefined | "killed" {
    const signal = this.machine.run(task);
    if (!process.killed) return signal;
    this.pairs.splice(
      this.pairs.findIndex((pair) => pair.model === model),
      1,
    );
    return "killed";
  }

  /**
   * Moves an area with mremap(). EFAULT for an area of several mappings, and ENOMEM for page tables, leave the area
   * shrunk to its new length but not moved.
   */
  private move(mm: MmStruct, model: ModelProcess, from: number, to: number, wanted: number): void {
    const area = model.areas.get(from);
    if (!area || from === HUGE_SLOT || from === to || model.areas.has(to)) return;
    const pages = 1 + (wanted % SLOT_PAGES);
    try {
      const flags = MremapFlag.MAYMOVE | MremapFlag.FIXED;
      const request = {
        address: at(from, 0),
        oldLength: area.pages.length * PAGE,
        newLength: pages * PAGE,
        flags,
      };
      this.machine.run(mremap(mm, { ...request, newAddress: at(to, 0) }));
    } catch (error) {
      if (error instanceof KernelError && (error.errno === "EFAULT" || this.mayLack(error))) {
        if (area.pages[0]?.mapped) model.unmap(from, pages, area.pages.length);
        return;
      }
      throw error;
    }
    model.unmap(from, pages, area.pages.length);
    const writable = area.pages[0]?.writable ?? true;
    while (area.pages.length < pages) area.pages.push({ mapped: true, writable, copied: false });
    area.pages.length = pages;
    model.areas.delete(from);
    model.areas.set(to, area);
  }

  private truncate(which: number, size: number): void {
    const target = this.files[which % this.files.length];
    if (!target) return;
    this.machine.run(truncate(target.file.host, size));
    truncateModel(
      target.model,
      size,
      this.pairs.map(({ model }) => model),
    );
  }
}

function at(slot: number, offset: number): VirtAddr {
  return virtAddr(BASE + slot * SLOT_BYTES + offset);
}

function expectEqual(got: unknown, expected: unknown, what: string): void {
  if (got !== expected)
    throw new Error(`${what}: the machine says ${String(got)}, the model ${String(expected)}`);
}
