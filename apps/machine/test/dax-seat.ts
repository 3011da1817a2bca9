// Somebody at a machine with device memory whose contents count: a process that maps dax0.0, and what it wrote and reads.
import { run } from "@hetmem/kernel";
import type { Namespace } from "@hetmem/nvdimm";
import { Shell } from "@hetmem/shell";
import { createMachine, type Machine } from "../src/machine.ts";
import { PROGRAMS } from "../src/programs/index.ts";
import { specWith } from "./device-machine.ts";

export class DaxSeat {
  readonly machine: Machine;
  readonly #shell: Shell;

  /** @param device as a machine file lists it */
  constructor(device: string) {
    this.machine = createMachine(specWith(device));
    this.#shell = new Shell(this.machine, PROGRAMS);
  }

  /** The output of a command. */
  sh(line: string): string {
    return run(this.#shell.execute(line)).output;
  }

  /** A new process maps 4 MiB of the device; its pid and the address are $P and $A. */
  map(): void {
    this.sh("P=$(proc start db); A=$(proc mmap $P 4M --file /dev/dax0.0 --shared)");
  }

  /** What it prints when the process writes, reads or flushes some bytes of its mapping. */
  proc(verb: "write" | "read" | "flush", offset: number, argument: string | number): string {
    return this.sh(`proc ${verb} $P $(printf 0x%x $((A + ${offset}))) '${argument}'`);
  }

  /** The bytes that the process reads, as text: at most 16. */
  read(offset: number, length: number): string {
    return this.proc("read", offset, length).trim().split(/ {2,}/).at(-1) ?? "";
  }

  /** @throws Error on a machine without persistent memory */
  get namespace(): Namespace {
    const { nvdimm } = this.machine.devices;
    if (!nvdimm) throw new Error("the machine has no persistent memory");
    return nvdimm.namespace("namespace0.0");
  }

  /** The sector of the namespace that a byte of dax0.0 lies in. */
  sectorOf(offset: number): number {
    const [range] = this.machine.devices.dax.bus.devices.get("dax0.0")?.ranges ?? [];
    return Math.floor(((range?.start ?? 0) + offset - this.namespace.range.start) / 512);
  }
}

export const SOFT_RESERVED = "name: Soft Reserved, start: 4G, size: 256M, node: 1";
const PMEM = "name: Persistent Memory, start: 4G, size: 256M, node: 1, modules: 2";
export const UNBIND_AND_BIND = ["unbind", "bind"]
  .map((file) => `echo dax0.0 > /sys/bus/dax/drivers/device_dax/${file}`)
  .join("; ");

/** A devdax namespace of all the memory, mapped by a process. @param domain what a power failure spares */
export function devdaxSeat(map: "mem" | "dev" = "mem", domain = "memory_controller"): DaxSeat {
  const seat = new DaxSeat(`${PMEM}, persistence_domain: ${domain}`);
  seat.sh(`ndctl create-namespace -m devdax -M ${map}`);
  seat.map();
  return seat;
}
