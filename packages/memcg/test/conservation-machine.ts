// A machine with memory cgroups, swap and a device, and what random programs do to it: processes come, go and move, use
// memory, lend it to the device, write it to swap; cgroups are made, limited and removed.
import { assertInvariants, KernelError, MiB, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { exitProcess, forkProcess, Madv, type Process, touchUser, vmInvariants } from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { createDiskFile, fileVmOps, fileWrite, memfdCreate, OpenFile, truncate } from "@hetmem/page-cache";
import { swapInvariants, swapoff, swapSpace } from "@hetmem/reclaim";
import {
  migrateMachine,
  type MigrateMachine,
  pageAt,
  TestDevice,
} from "@hetmem/test-machines/migrate-machine";
import { memcgInvariants } from "../src/invariants.ts";
import {
  chargeKernel,
  chargeSocket,
  type KernelObject,
  unchargeKernel,
  unchargeSocket,
} from "../src/kernel-memory.ts";
import { Limits } from "../src/limits/limits.ts";
import type { MemoryCgroup } from "../src/memory-cgroup.ts";
import { MemoryCgroups } from "../src/memory-cgroups.ts";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

export const PAGES = 24;
const FILE_PAGES = 6;

/** Who does it, and to whom; numbers are taken modulo what there is. */
export type Operation =
  | { op: "create"; cgroup: number }
  | { op: "remove"; cgroup: number }
  | { op: "limit"; cgroup: number; counter: "memory" | "swap"; pages: number }
  | { op: "move"; who: number; cgroup: number }
  | { op: "spawn"; cgroup: number }
  | { op: "fork"; who: number }
  | { op: "exit"; who: number }
  | { op: "touch" | "discard" | "pageout" | "toDevice" | "toRam"; who: number; page: number; count: number }
  | { op: "write"; who: number; file: number; page: number }
  | { op: "truncate"; file: number; pages: number }
  | { op: "socket" | "object"; cgroup: number; size: number }
  | { op: "fail"; percent: number };

export class ConservationMachine {
  readonly machine: MigrateMachine;
  readonly memcgs: MemoryCgroups;
  readonly device: TestDevice;
  /** What is done at a limit. */
  readonly limits: Limits;
  private readonly files: readonly OpenFile[];
  private readonly processes: Process[] = [];
  private readonly sockets: { cgroup: MemoryCgroup; pages: number }[] = [];
  private readonly objects: KernelObject[] = [];

  constructor() {
    let memcgs: MemoryCgroups | undefined;
    this.machine = migrateMachine({
      charging(memory) {
        memcgs = new MemoryCgroups(memory);
        return memcgs.charging;
      },
    });
    if (!memcgs) throw new Error("the machine asked for nobody to charge");
    this.memcgs = memcgs;
    this.limits = new Limits(memcgs);
    const { vm } = this.machine;
    swapSpace(vm).swapon({ path: "/dev/swap", size: MiB });
    this.device = new TestDevice(this.machine);
    const disk = createDiskFile(vm, 7, new Uint8Array(FILE_PAGES * PAGE));
    this.files = [
      memfdCreate(vm, "shared", 0),
      new OpenFile(disk, { path: "/data", writable: true, vmOps: fileVmOps }),
    ];
    this.spawn(memcgs.create(memcgs.root, "first"));
  }

  apply(operation: Operation): void {
    switch (operation.op) {
      case "create":
        return void this.memcgs.create(this.cgroup(operation.cgroup), "more");
      case "remove":
        return this.remove(this.cgroup(operation.cgroup));
      case "limit":
        return this.limit(this.cgroup(operation.cgroup), operation.counter, operation.pages);
      case "spawn":
        return this.spawn(this.cgroup(operation.cgroup));
      case "socket":
        return this.socket(this.cgroup(operation.cgroup), operation.size);
      case "object":
        return this.object(this.cgroup(operation.cgroup), operation.size);
      case "truncate":
        return this.attempt(truncate(this.file(operation.file).host, operation.pages * PAGE));
      case "fail":
        return this.fail(operation.percent);
      default: {
        const process = this.processes[operation.who % this.processes.length];
        if (process?.mm) this.act(process, operation);
      }
    }
  }

  check(): void {
    assertInvariants(this.machine.vm, vmInvariants);
    assertInvariants(this.machine.vm, swapInvariants);
    assertInvariants(this.memcgs, memcgInvariants);
  }

  /** Everything ends: nothing may be left of any charge. */
  finish(): void {
    const { vm } = this.machine;
    this.fail(0);
    for (const process of this.processes) run(exitProcess(process));
    for (const file of this.files) {
      run(truncate(file.host, 0));
      run(file.close());
    }
    for (const { cgroup, pages } of this.sockets) unchargeSocket(this.memcgs, cgroup, pages);
    for (const object of this.objects) unchargeKernel(this.memcgs, object);
    run(swapoff(vm, "/dev/swap"));
    for (const cgroup of [...this.memcgs.root.subtree()].toReversed())
      if (cgroup.online && !cgroup.isRoot) this.memcgs.offline(cgroup);
  }

  private act(process: Process, operation: Extract<Operation, { who: number }>): void {
    const mm = mmOf(process);
    if (operation.op === "move") return this.memcgs.attach(mm, this.cgroup(operation.cgroup));
    if (operation.op === "exit" || operation.op === "fork") return this.comeOrGo(process, operation.op);
    if (operation.op === "write") {
      const bytes = new Uint8Array(100);
      return this.attempt(fileWrite(this.file(operation.file), operation.page * PAGE, bytes, mm));
    }
    const { op, page, count } = operation;
    this.attempt(this.use(process, op, pageAt(page), Math.min(count, PAGES - page)));
  }

  private *use(
    process: Process,
    op: "touch" | "discard" | "pageout" | "toDevice" | "toRam",
    start: VirtAddr,
    pages: number,
  ): Sleeps<void> {
    const mm = mmOf(process);
    if (op === "discard") yield* madvise(mm, start, pages * PAGE, Madv.DONTNEED);
    else if (op === "pageout") yield* madvise(mm, start, pages * PAGE, Madv.PAGEOUT);
    else if (op === "toDevice") yield* this.device.migrateTo(mm, start, pages);
    else if (op === "toRam") yield* this.device.migrateBack(mm, start, pages);
    else
      for (let i = 0; i < pages && process.mm; i++)
        if (yield* touchUser(process, (start + i * PAGE) as VirtAddr)) return;
  }

  private comeOrGo(process: Process, op: "exit" | "fork"): void {
    if (op === "exit") this.attempt(exitProcess(process));
    else if (this.processes.length < 5) this.attempt(this.fork(process));
  }

  private *fork(parent: Process): Sleeps<void> {
    this.processes.push(yield* forkProcess(parent));
  }

  private spawn(cgroup: MemoryCgroup): void {
    if (this.processes.length >= 5 || this.machine.kernel.faults.point("fail_page_alloc").armed) return;
    const process = this.machine.spawn(PAGES);
    this.memcgs.attach(mmOf(process), cgroup);
    this.processes.push(process);
  }

  /** What can't be had for lack of memory, or for a limit, is done without. */
  private attempt(task: Sleeps<unknown>): void {
    try {
      run(task);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    }
    for (let i = this.processes.length - 1; i >= 0; i--)
      if (!this.processes[i]?.mm) this.processes.splice(i, 1);
  }

  private limit(cgroup: MemoryCgroup, counter: "memory" | "swap", pages: number): void {
    if (!cgroup.isRoot) cgroup[counter].max = pages;
  }

  private remove(cgroup: MemoryCgroup): void {
    const { memcgs } = this;
    if (cgroup.isRoot || this.processes.some(({ mm }) => mm && memcgs.ofMm(mm) === cgroup)) return;
    for (const child of cgroup.children()) if (child.online) return;
    memcgs.offline(cgroup);
  }

  private socket(cgroup: MemoryCgroup, pages: number): void {
    if (run(chargeSocket(this.memcgs, cgroup, pages))) this.sockets.push({ cgroup, pages });
    if (this.sockets.length < 4) return;
    const [first] = this.sockets.splice(0, 1);
    if (first) unchargeSocket(this.memcgs, first.cgroup, first.pages);
  }

  private object(cgroup: MemoryCgroup, size: number): void {
    const object = run(chargeKernel(this.memcgs, cgroup, size * 700));
    if (object) this.objects.push(object);
    if (this.objects.length < 4) return;
    const [first] = this.objects.splice(0, 1);
    if (first) unchargeKernel(this.memcgs, first);
  }

  private fail(percent: number): void {
    const point = this.machine.kernel.faults.point("fail_page_alloc");
    if (percent === 0) point.disarm();
    else point.arm({ probability: percent, seed: percent, times: 40 });
  }

  private cgroup(number: number): MemoryCgroup {
    const online = [...this.memcgs.root.subtree()].filter((cgroup) => cgroup.online);
    return online[number % online.length] ?? this.memcgs.root;
  }

  private file(number: number): OpenFile {
    const file = this.files[number % this.files.length];
    if (!file) throw new Error("the machine has no files");
    return file;
  }
}
