// A machine with two devices and its model, driven by the same operations: each does to the machine what a process, a
// device or an administrator would ask for, and to the model what that means for bytes.
import { type Page, run, type VirtAddr } from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  Madv,
  MapFlag,
  mmap,
  mprotect,
  munmap,
  type Process,
  Prot,
  readUser,
  writeUser,
} from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { NULL_PAGE } from "@hetmem/page";
import { memfdCreate, type OpenFile, truncate } from "@hetmem/page-cache";
import { EntryKind, entryKind } from "@hetmem/page-table";
import { swapSpace } from "@hetmem/reclaim";
import type { MigrationPolicy } from "../src/driver/index.ts";
import type { Gpu, GpuContext } from "../src/index.ts";
import { ANON_PAGES, Model, type ModelPage, type ModelProcess, PAGE, PAGES } from "./bytes-model.ts";
import { at, BASE, type GpuMachine, gpuMachine, mapAnon, pageAt } from "@hetmem/test-machines/gpu-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { mmOf } from "@hetmem/test-machines/vm-machine";

/** One operation a name, so that each can be told from the others. */
type Each<Name extends string, Rest> = Name extends string ? { readonly op: Name } & Rest : never;

interface Place {
  readonly who: number;
  readonly gpu: number;
  readonly page: number;
}

/** Who does it, and where; numbers are taken modulo what there is. */
export type Operation =
  | Each<"cpu write" | "gpu write" | "atomic" | "write and reclaim", Place & { offset: number; byte: number }>
  | Each<"cpu read" | "gpu read", Place & { offset: number }>
  | Each<"to device" | "back" | "exclusive" | "snapshot", Place & { count: number }>
  | Each<"fork" | "exit", { who: number }>
  | Each<"unmap" | "forget" | "pageout", { who: number; page: number; count: number }>
  | Each<"protect", { who: number; page: number; writable: boolean }>
  | Each<"evict", { gpu: number; count: number }>
  | Each<"empty" | "reset" | "fall off", { gpu: number }>;

interface Pair {
  readonly process: Process;
  readonly model: ModelProcess;
  readonly contexts: readonly GpuContext[];
}

export class BytesMachine {
  readonly machine: GpuMachine;
  readonly model: Model;
  private readonly pairs: Pair[] = [];
  private readonly file: OpenFile;
  private readonly freeAtStart: number;
  private readonly moves: boolean;

  constructor(memoryType: "private" | "coherent", policy: MigrationPolicy, pages: number) {
    this.machine = gpuMachine({ memoryType, policy, pages, gpus: 2 });
    this.model = new Model(2);
    this.moves = policy.name !== "map-in-place";
    swapSpace(this.machine.vm).swapon({ path: "/dev/swap", size: 2 * 1024 * 1024 });
    this.freeAtStart = this.machine.freePages();
    this.file = memfdCreate(this.machine.vm, "shared", 0);
    const filePages = PAGES - ANON_PAGES;
    run(truncate(this.file.host, filePages * PAGE));
    const process = this.machine.spawn();
    mapAnon(process, ANON_PAGES);
    const [prot, flags] = [Prot.READ | Prot.WRITE, MapFlag.SHARED | MapFlag.FIXED];
    run(
      mmap(mmOf(process), {
        address: at(ANON_PAGES),
        length: filePages * PAGE,
        prot,
        flags,
        file: this.file,
      }),
    );
    this.add(process, this.model.processes[0] as ModelProcess);
  }

  /** @throws when machine and model disagree */
  apply(operation: Operation): void {
    if (
      operation.op === "evict" ||
      operation.op === "empty" ||
      operation.op === "reset" ||
      operation.op === "fall off"
    )
      return this.power(operation.op, operation.gpu % 2, "count" in operation ? operation.count : 0);
    const pair = this.pairs[operation.who % this.pairs.length] as Pair;
    switch (operation.op) {
      case "fork":
        if (this.pairs.length < 3) this.fork(pair);
        return;
      case "exit":
        return this.exit(pair);
      case "cpu write":
      case "cpu read":
        return this.cpu(
          pair,
          operation.page % PAGES,
          operation.offset,
          "byte" in operation ? operation.byte : undefined,
        );
      case "gpu write":
      case "gpu read":
        return this.gpu(pair, operation.gpu % 2, operation, "byte" in operation ? operation.byte : undefined);
      case "write and reclaim":
        return this.writeAndReclaim(pair, operation);
      case "atomic":
        return this.atomic(
          pair,
          operation.gpu % 2,
          operation.page % ANON_PAGES,
          operation.offset & ~3,
          operation.byte,
        );
      case "protect":
        return this.protect(pair, operation.page % PAGES, operation.writable);
      default:
        for (let i = 0; i < operation.count; i++) {
          const index = (operation.page + i) % PAGES;
          if (operation.op === "unmap" || operation.op === "forget" || operation.op === "pageout")
            this.take(pair, operation.op, index);
          else this.place(pair, operation.op, operation.gpu % 2, index);
        }
    }
  }

  /** Every process reads every byte that was ever written, and the machine is empty afterwards. */
  finish(): void {
    for (const pair of this.pairs) {
      pair.model.pages.forEach((page, index) => {
        for (const offset of [...page.bytes.keys(), 17]) this.cpu(pair, index, offset, undefined);
      });
    }
    for (const { process } of this.pairs) run(exitProcess(process));
    run(truncate(this.file.host, 0));
    run(this.file.close());
    this.machine.check();
    for (const { name, memory } of this.machine.gpus)
      if (memory.usedPages > 0) throw new Error(`${name} keeps ${memory.usedPages} pages`);
    // What struct pages take is back, too.
    for (const { memory } of this.machine.gpus) run(memory.plug());
    expectEqual(this.machine.freePages(), this.freeAtStart, "free pages");
  }

  private add(process: Process, model: ModelProcess): void {
    const contexts = this.machine.gpus.map((gpu) =>
      gpu.state === "dead" ? undefined : this.machine.open(process, gpu),
    );
    this.pairs.push({ process, model, contexts: contexts as GpuContext[] });
  }

  private fork({ process, model }: Pair): void {
    const child = model.fork();
    this.model.processes.push(child);
    this.add(run(forkProcess(process)), child);
  }

  private exit(pair: Pair): void {
    if (this.pairs.length === 1) return;
    this.pairs.splice(this.pairs.indexOf(pair), 1);
    this.model.processes.splice(this.model.processes.indexOf(pair.model), 1);
    run(exitProcess(pair.process));
  }

  private cpu({ process, model }: Pair, index: number, offset: number, byte: number | undefined): void {
    const page = model.page(index);
    const address = at(index, offset);
    const into = new Uint8Array(1);
    const signal =
      byte === undefined
        ? run(readUser(process, address, into))
        : run(writeUser(process, address, Uint8Array.of(byte)));
    const what = `the cpu ${byte === undefined ? "reads" : "writes"} ${describe(process, index, offset)}`;
    const expected = !page.mapped
      ? "SEGV_MAPERR"
      : byte !== undefined && !page.writable
        ? "SEGV_ACCERR"
        : "done";
    if (page.lost && expected === "done") return expectEqual(signal?.code, "BUS_ADRERR", what);
    expectEqual(signal?.code ?? "done", expected, what);
    if (expected !== "done") return;
    if (this.machine.gpu.memory.type === "private") page.home = true;
    if (byte === undefined) expectEqual(into[0], page.bytes.get(offset) ?? 0, what);
    else page.bytes.set(offset, byte);
  }

  private gpu(
    { process, model, contexts }: Pair,
    gpu: number,
    { page: at_, offset }: { page: number; offset: number },
    byte: number | undefined,
  ): void {
    const index = at_ % PAGES;
    const page = model.page(index);
    const context = contexts[gpu];
    if (!context) return;
    if (this.moves) for (let i = 0; i < ANON_PAGES; i++) this.model.mayMove(gpu, i);
    const into = new Uint8Array(1);
    const address = at(index, offset);
    const errno = outcome(() =>
      run(byte === undefined ? context.read(address, into) : context.write(address, Uint8Array.of(byte))),
    );
    const what = `gpu${gpu} ${byte === undefined ? "reads" : "writes"} ${describe(process, index, offset)}`;
    if (this.refused(this.machine.gpus[gpu] as Gpu, page, errno, what)) return;
    expectEqual(
      errno,
      !page.mapped ? "EFAULT" : byte !== undefined && !page.writable ? "EPERM" : "done",
      what,
    );
    if (errno !== "done") return;
    if (byte === undefined) expectEqual(into[0], page.bytes.get(offset) ?? 0, what);
    else page.bytes.set(offset, byte);
  }

  /** The process has only read a page, or given it up with MADV_FREE; then the device writes to it, and reclaim takes it. */
  private writeAndReclaim(pair: Pair, operation: Place & { offset: number; byte: number }): void {
    const index = operation.page % PAGES;
    const gpu = operation.gpu % 2;
    const { mapped, writable, lost } = pair.model.page(index);
    if (!mapped || !writable || lost || this.machine.gpus[gpu]?.state === "dead" || !pair.contexts[gpu])
      return;
    this.cpu(pair, index, operation.offset, undefined);
    if (index < ANON_PAGES) run(madvise(mmOf(pair.process), at(index), PAGE, Madv.FREE));
    this.gpu(pair, gpu, { ...operation, page: index }, operation.byte);
    this.take(pair, "pageout", index);
  }

  private atomic(
    { process, model, contexts }: Pair,
    gpu: number,
    index: number,
    offset: number,
    value: number,
  ): void {
    const page = model.page(index);
    const context = contexts[gpu];
    if (!context || offset + 4 > PAGE) return;
    if (this.moves) for (let i = 0; i < ANON_PAGES; i++) this.model.mayMove(gpu, i);
    let before = 0;
    const errno = outcome(() => {
      before = run(context.atomicAdd(at(index, offset), value));
    });
    const what = `gpu${gpu} adds to ${describe(process, index, offset)}`;
    if (this.refused(this.machine.gpus[gpu] as Gpu, page, errno, what)) return;
    expectEqual(errno, !page.mapped ? "EFAULT" : page.writable ? "done" : "EPERM", what);
    if (errno !== "done") return;
    const word = new DataView(new ArrayBuffer(4));
    for (let i = 0; i < 4; i++) word.setUint8(i, page.bytes.get(offset + i) ?? 0);
    expectEqual(before, word.getUint32(0, true), what);
    word.setUint32(0, before + value, true);
    for (let i = 0; i < 4; i++) page.bytes.set(offset + i, word.getUint8(i));
  }

  /** Who has lost a page may not be told what is there; a dead device does nothing. */
  private refused(gpu: Gpu, page: ModelPage, errno: string, what: string): boolean {
    if (gpu.state === "dead") expectEqual(errno, "ENODEV", what);
    else if (page.lost && errno === "done") throw new Error(`${what}, which is lost, and nobody says so`);
    return gpu.state === "dead" || page.lost;
  }

  private place(
    { process, model, contexts }: Pair,
    op: "to device" | "back" | "exclusive" | "snapshot",
    gpu: number,
    index: number,
  ): void {
    const context = contexts[gpu];
    const page = model.page(index);
    if (!context) return;
    const address = at(index);
    const tasks = {
      "to device": () => context.migrateTo(address, PAGE),
      back: () => context.migrateBack(address, PAGE),
      exclusive: () => context.exclusive(address, PAGE),
      snapshot: () => context.snapshot(address, PAGE),
    };
    if (op === "to device" && page.mapped) this.model.mayMove(gpu, index);
    const errno = outcome(() => run<unknown>(tasks[op]()));
    const dead = this.machine.gpus[gpu]?.state === "dead";
    if (dead) return expectEqual(errno, "ENODEV", `${op} of ${describe(process, index, 0)}`);
    if (op === "exclusive") return;
    expectEqual(
      errno,
      page.mapped || op === "snapshot" ? "done" : "EINVAL",
      `${op} of ${describe(process, index, 0)}`,
    );
  }

  private take({ process, model }: Pair, op: "unmap" | "forget" | "pageout", index: number): void {
    const page = model.page(index);
    if (!page.mapped) return;
    const mm = mmOf(process);
    const address: VirtAddr = at(index);
    if (op === "unmap") {
      run(munmap(mm, address, PAGE));
      return this.model.unmap(model, index);
    }
    run(madvise(mm, address, PAGE, op === "forget" ? Madv.DONTNEED : Madv.PAGEOUT));
    if (op === "forget") this.model.forget(page, index);
  }

  private protect({ process, model }: Pair, index: number, writable: boolean): void {
    const page = model.page(index);
    if (!page.mapped) return;
    run(mprotect(mmOf(process), at(index), PAGE, writable ? Prot.READ | Prot.WRITE : Prot.READ));
    page.writable = writable;
  }

  private power(op: "evict" | "empty" | "reset" | "fall off", id: number, count: number): void {
    const gpu = this.machine.gpus[id] as Gpu;
    if (gpu.state === "dead") return;
    if (op === "evict") return void run(gpu.evict(count));
    if (op === "empty") {
      const errno = outcome(() => run(gpu.releaseMemory()));
      if (errno === "done") this.model.emptied(id);
      else if (!this.pairs.some((pair) => this.hasStuckPage(pair)))
        throw new Error(`gpu${id} can't be emptied: ${errno}, and nothing is lost`);
      return;
    }
    this.lose(gpu, id, op === "reset" ? run(gpu.reset()) : gpu.fallOff());
  }

  /** Pages that are lost don't move, nor do those that a device has for itself. */
  private hasStuckPage({ process, model }: Pair): boolean {
    const { pageTable } = mmOf(process);
    return model.pages.some(({ lost }, index) => {
      const entry = pageTable.find(at(index));
      const kind = entry < 0 ? EntryKind.none : entryKind(pageTable.flags(entry));
      return lost || kind === EntryKind.deviceExclusiveRead || kind === EntryKind.deviceExclusiveWrite;
    });
  }

  /** What the machine has lost, the model must have expected, and no more than that. */
  private lose(gpu: Gpu, id: number, count: number): void {
    const frames = new Set<number>();
    for (const { process, model } of this.pairs) {
      model.pages.forEach((page, index) => {
        const frame =
          page.mapped && mmOf(process).pageTable.find(at(index)) >= 0
            ? pageAt(process, at(index))
            : (NULL_PAGE as Page);
        if (!gpu.memory.owns(frame) || !gpu.memory.isLost(frame)) return;
        if (!page.lost) {
          if (!this.model.mayLose(id, model, index))
            throw new Error(`${describe(process, index, 0)} is lost, and wasn't on gpu${id}`);
          frames.add(frame);
        }
        if (gpu.memory.type === "private") page.lost = true;
        else for (let offset = 0; offset < PAGE; offset++) page.bytes.set(offset, 0xff);
      });
    }
    expectEqual(count, frames.size, `pages that gpu${id} says are lost`);
  }
}

function describe({ pid }: Process, index: number, offset: number): string {
  return `0x${(BASE + index * PAGE + offset).toString(16)} of ${pid}`;
}

function expectEqual(got: unknown, expected: unknown, what: string): void {
  if (got !== expected)
    throw new Error(`${what}: the machine says ${String(got)}, the model ${String(expected)}`);
}
