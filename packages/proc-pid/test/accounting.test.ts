// What a real kernel's smaps and pagemap said of a process whose 4 MiB went to a device and came back: the capture of
// test_hmm's accounting, state by state. The states are built by hand here; how they come to be is others' to show.
import { readFileSync } from "node:fs";
import { MiB, type Page } from "@hetmem/kernel";
import { forkProcess, type Process } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { EntryKind, Pte } from "@hetmem/page-table";
import { mapAt, touch } from "@hetmem/test-machines/hand-mapped";
import { mmOf, type VmMachine, vmMachine } from "@hetmem/test-machines/vm-machine";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { pagemap } from "../src/pagemap.ts";
import { procPidTable } from "../src/proc-pid.ts";

const START = 0x7f00_0000_0000;
const PAGES = (4 * MiB) / 4096;
const FRAME_BITS = (1n << 55n) - 1n;
/** The kernel of the capture doesn't track writes. */
const UNTRACKED = { privileged: true, softDirty: false };

interface State {
  /** Lines of smaps. */
  readonly smaps: string;
  /** The entry of the first page, without its frame, and its swap type where it looks swapped. */
  readonly pagemap: string;
}

/** The text under a heading of the capture. */
function capturedState(heading: string): State {
  const text = readFileSync(new URL("../fixtures/accounting.txt", import.meta.url), "utf8");
  const [, section = ""] = text.split(`== ${heading}\n`);
  const entry = BigInt(`0x${/^pagemap\[0\] (\w+)$/m.exec(section)?.[1] ?? ""}`);
  return { smaps: /^(?:Rss:(?:.|\n)*?SwapPss:.*\n)/m.exec(section)?.[0] ?? "", pagemap: described(entry) };
}

function described(entry: bigint): string {
  const swapped = ((entry >> 62n) & 1n) === 1n;
  return (entry & ~FRAME_BITS).toString(16) + (swapped ? ` type ${entry & 31n}` : "");
}

/** The lines that the captured program printed, of one process here. */
function stateOf(machine: VmMachine, process: Process): State {
  const vfs = new Vfs();
  vfs.mount(procPidTable(machine.vm, UNTRACKED));
  const text = machine.run(vfs.read(`/proc/${process.pid}/smaps`));
  const printed = /^(?:Rss|Pss|Shared_\w+|Private_\w+|Referenced|Anonymous|Swap|SwapPss):/;
  const [first = ""] = text.split(/^[0-9a-f]+-[0-9a-f]+ .*\n/m).slice(1);
  const lines = first.split("\n").filter((line) => printed.test(line));
  const [entry = 0n] = pagemap(mmOf(process), START as never, 1, UNTRACKED);
  return { smaps: `${lines.join("\n")}\n`, pagemap: described(entry) };
}

function fourMiB(): { machine: VmMachine; process: Process; touchAll(): number[] } {
  const machine = vmMachine();
  const process = machine.spawn("accounting");
  const vma = mapAt(mmOf(process), START, START + 4 * MiB);
  return {
    machine,
    process,
    touchAll: () => Array.from({ length: PAGES }, (_, i) => touch(vma, START + i * 4096)),
  };
}

/** The page moves to the device: what the entry knew of writes is in the page then. */
function toDevice(
  { vm }: VmMachine,
  { pageTable }: ReturnType<typeof mmOf>,
  entry: number,
  kind: number,
): void {
  const page = pageTable.value(entry) as Page;
  vm.memmap.set(page, PageFlag.dirty);
  pageTable.set(entry, page, kind);
}

test("4 MiB that are mapped and untouched cost nothing", () => {
  const { machine, process } = fourMiB();
  expect(stateOf(machine, process)).toEqual(capturedState("mapped, untouched"));
});

test("4 MiB that were written are dirty, used and the process's alone", () => {
  const { machine, process, touchAll } = fourMiB();
  touchAll();
  expect(stateOf(machine, process)).toEqual(capturedState("touched 4 MiB"));
});

test("4 MiB on a device are resident and anonymous, and not in use by the cpu", () => {
  const { machine, process, touchAll } = fourMiB();
  for (const entry of touchAll()) toDevice(machine, mmOf(process), entry, EntryKind.devicePrivateWrite);
  expect(stateOf(machine, process)).toEqual(capturedState("on device"));
});

test("a child has half of what is on the device, and uses the page that it read", () => {
  const { machine, process, touchAll } = fourMiB();
  const { pageTable } = mmOf(process);
  const entries = touchAll();
  const child = machine.run(forkProcess(process));
  const childTable = mmOf(child).pageTable;
  entries.forEach((entry, i) => {
    const childEntry = childTable.find((START + i * 4096) as never);
    toDevice(machine, mmOf(process), entry, EntryKind.devicePrivateRead);
    toDevice(machine, mmOf(child), childEntry, EntryKind.devicePrivateRead);
    if (i !== 5) return;
    pageTable.set(entry, pageTable.value(entry), Pte.present);
    childTable.set(childEntry, childTable.value(childEntry), Pte.present | Pte.accessed);
  });
  expect(stateOf(machine, child)).toEqual(capturedState("child after reading page 5"));
});
