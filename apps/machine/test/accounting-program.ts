// accounting.c of the captures, step by step: a process touches memory, gives it to a device, shares it with a child, takes
// it back, and prints at each stage what the kernel says of it. What the program's C library does besides isn't done here.
import { MiB, PAGE_SIZE, run, type VirtAddr } from "@hetmem/kernel";
import { DevicePte, type GpuContext } from "@hetmem/gpu";
import {
  exitProcess,
  forkProcess,
  Madv,
  MapFlag,
  mmap,
  type MmStruct,
  mprotect,
  munmap,
  type Process,
  Prot,
  readUser,
  writeUser,
} from "@hetmem/mm";
import { madvise, mincore } from "@hetmem/madvise";
import type { Machine } from "../src/machine.ts";

const LENGTH = 4 * MiB;
const STAT = /^(?:anon|file|pgfault|inactive_anon|active_anon|pagetables|swapcached) /;
const SMAPS = /^(?:Rss|Pss:|Private|Shared|Anonymous|Swap|Referenced)/;
const STATUS = /^(?:VmRSS|RssAnon|RssFile|VmSwap)/;

/** Runs it in the cgroup /t. @returns the lines that it prints, the child's where they come */
export function accounting(machine: Machine, device: GpuContext, process: Process): string[] {
  const lines: string[] = [];
  new Program(machine, device, process, (line) => lines.push(line)).main();
  return lines;
}

/** A process that is about to do so. The open device goes over to a child, and still mirrors the parent. */
class Program {
  private readonly machine: Machine;
  private readonly device: GpuContext;
  private readonly process: Process;
  private readonly print: (line: string) => void;

  constructor(machine: Machine, device: GpuContext, process: Process, print: (line: string) => void) {
    this.machine = machine;
    this.process = process;
    this.print = print;
    this.device = device;
  }

  main(): void {
    const half = LENGTH / 2;
    // There, mappings end a page below a multiple of 2 MiB. @see mmap_base() in arch/x86/mm/mmap.c
    const top = run(mmap(this.mm, { length: PAGE_SIZE, prot: 0, flags: ANONYMOUS }));
    const a = this.map();
    run(munmap(this.mm, top, PAGE_SIZE));
    this.state("mapped, untouched", a, LENGTH);
    for (let i = 0; i < LENGTH; i += PAGE_SIZE) this.store(a + i, i >> 12);
    this.state("touched 4 MiB", a, LENGTH);
    // malloc() maps what is so large, and puts its own words in front.
    const buffer = run(mmap(this.mm, { length: LENGTH + PAGE_SIZE, prot: RW, flags: ANONYMOUS }));
    this.store(buffer, 1);
    this.migrate("migrate to device", a, buffer);
    this.state("on device", a, LENGTH);
    this.child(a);
    this.state("parent after child", a, LENGTH);
    this.print(`parent page 6 = ${this.load(a + PAGE_SIZE * 6)}`);
    for (let i = 0; i < half; i += PAGE_SIZE)
      if (this.load(a + i) !== ((i >> 12) & 255)) this.print("MISMATCH");
    this.state("CPU read first half", a, LENGTH);
    this.migrate("migrate to device again", a, buffer);
    run(mprotect(this.mm, a, LENGTH, Prot.READ));
    this.state("mprotect read-only while on device", a, LENGTH);
    run(munmap(this.mm, (a + half) as VirtAddr, half));
    this.state("second half unmapped", a, half);
    const b = this.map();
    this.migrate("migrate holes", b, buffer);
    this.state("holes filled on device", b, LENGTH);
    this.load(b);
    const z = this.map();
    for (let i = 0; i < LENGTH; i += PAGE_SIZE) this.load(z + i);
    this.state("zero pages read", z, LENGTH);
    this.migrate("migrate zero pages", z, buffer);
    this.state("zero pages on device", z, LENGTH);
  }

  private child(a: VirtAddr): void {
    const process = run(forkProcess(this.process));
    const child = new Program(this.machine, this.device, process, this.print);
    this.print(`child reads ${child.load(a + PAGE_SIZE * 5)}`);
    child.state("child after reading page 5", a, LENGTH);
    child.store(a + PAGE_SIZE * 6, 99);
    this.print("child wrote page 6");
    run(exitProcess(process));
  }

  private get mm(): MmStruct {
    if (!this.process.mm) throw new Error(`${this.process.pid} has ended`);
    return this.process.mm;
  }

  private map(): VirtAddr {
    const address = run(mmap(this.mm, { length: LENGTH, prot: RW, flags: ANONYMOUS }));
    run(madvise(this.mm, address, LENGTH, Madv.NOHUGEPAGE));
    return address;
  }

  private store(address: number, byte: number): void {
    const signal = run(writeUser(this.process, address as VirtAddr, Uint8Array.of(byte & 255)));
    if (signal) throw new Error(signal.reason);
  }

  private load(address: number): number {
    const bytes = new Uint8Array(1);
    const signal = run(readUser(this.process, address as VirtAddr, bytes));
    if (signal) throw new Error(signal.reason);
    return bytes[0] ?? 0;
  }

  /**
   * HMM_DMIRROR_MIGRATE_TO_DEV: what the device reaches then is given to the process. The kernel's test driver enters the
   * pages that came, and says ENOENT where it had no entry for the others; ours enters all that are its own.
   */
  private migrate(what: string, address: VirtAddr, buffer: VirtAddr): void {
    const { device, process } = this;
    let reached = 0;
    for (let i = 0; i < LENGTH; i += PAGE_SIZE)
      if ((device.table.flags((address + i) as VirtAddr) & DevicePte.read) !== 0) reached++;
    const moved = run(device.migrateTo(address, LENGTH));
    const done = moved + reached === LENGTH / PAGE_SIZE;
    if (done) {
      const bytes = new Uint8Array(LENGTH);
      run(device.peek(address, bytes));
      run(writeUser(process, (buffer + 16) as VirtAddr, bytes));
    }
    this.print(`${what} rc=${done ? 0 : -1} cpages=${done ? moved : 0}`);
  }

  private state(what: string, address: VirtAddr, length: number): void {
    const { pid } = this.process;
    const cgroup = "/sys/fs/cgroup/t";
    this.print(`== ${what}`);
    this.print(`memory.current ${this.linesOf(`${cgroup}/memory.current`)[0]}`);
    this.cat(`${cgroup}/memory.stat`, STAT);
    this.smaps(address);
    this.cat(`/proc/${pid}/status`, STATUS);
    this.print(`pagemap[0] ${this.pagemapEntry(address)}`);
    this.print(`mincore[0] ${(run(mincore(this.mm, address, PAGE_SIZE))[0] ?? 0) & 1}`);
    const bytes = run(this.device.snapshot(address, length));
    const [first, last] = [bytes.at(0), bytes.at(-1)].map((byte = 0) => byte.toString(16).padStart(2, "0"));
    this.print(`snapshot rc=0 first=${first} last=${last}`);
  }

  private smaps(address: VirtAddr): void {
    const lines = this.linesOf(`/proc/${this.process.pid}/smaps`);
    const first = lines.findIndex((line) => line.startsWith(`${address.toString(16)}-`));
    const rest = lines.slice(first + 1);
    const next = rest.findIndex((line) => /^[0-9a-f]+-/.test(line));
    for (const line of rest.slice(0, next)) if (SMAPS.test(line)) this.print(line);
  }

  private pagemapEntry(address: VirtAddr): string {
    const file = this.machine.vfs.open(`/proc/${this.process.pid}/pagemap`, "read");
    const entry = run(file.readAt((address / PAGE_SIZE) * 8, 8));
    return Buffer.from(entry).readBigUInt64LE().toString(16).padStart(16, "0");
  }

  private cat(path: string, filter: RegExp): void {
    for (const line of this.linesOf(path)) if (filter.test(line)) this.print(line);
  }

  private linesOf(path: string): string[] {
    return run(this.machine.vfs.read(path)).replace(/\n$/, "").split("\n");
  }
}

const RW = Prot.READ | Prot.WRITE;
const ANONYMOUS = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
