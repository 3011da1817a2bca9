import { nodeId, virtAddr } from "@hetmem/kernel";
import { type Process, VmFlag } from "@hetmem/mm";
import { mpolNew } from "@hetmem/mm/policy";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { captured } from "@hetmem/test-machines/busybox";
import { fileAt, mapAt, RW, touch, touchFile } from "@hetmem/test-machines/hand-mapped";
import { mmOf, type VmMachine, vmMachine } from "@hetmem/test-machines/vm-machine";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { procPidTable } from "../src/proc-pid.ts";

const START = 0x7f00_0000_0000;

function numaMaps(machine: VmMachine, process: Process): string {
  const vfs = new Vfs();
  vfs.mount(procPidTable(machine.vm));
  return machine.run(vfs.read(`/proc/${process.pid}/numa_maps`));
}

test("the numa_maps of busybox are those that its kernel printed", () => {
  const machine = vmMachine();
  const process = machine.spawn("cat");
  const mm = mmOf(process);
  const { memmap } = machine.vm;
  const file = fileAt(machine.vm, "/bin/busybox", 177);
  // The program was in the page cache, on node 0; it runs on node 1. Pages of a ramfs are dirty, and not evictable.
  const program = (start: number, pages: number, shared: number): ReturnType<typeof mapAt> => {
    const vma = mapAt(mm, start, start + pages * 4096, { file, pgoff: start / 4096 });
    for (let i = 0; i < pages; i++) {
      const page = touchFile(vma, start + i * 4096, {
        state: PageFlag.dirty | PageFlag.swapbacked,
        others: i < shared ? 1 : 0,
      });
      memmap.set(page, PageFlag.unevictable);
    }
    return vma;
  };
  const anonymous = (start: number, end: number, pages: number, active = 0): void => {
    const vma = mm.vmas.at(virtAddr(start)) ?? mapAt(mm, start, end);
    for (let i = 0; i < pages; i++) {
      const entry = touch(vma, end - (pages - i) * 4096);
      if (i < active) memmap.set(mm.pageTable.value(entry) as never, PageFlag.active);
    }
  };
  mm.node = nodeId(0);
  program(0x40_0000, 1, 0);
  program(0x40_1000, 260, 0);
  program(0x58_5000, 86, 1);
  const relro = program(0x5d_b000, 5, 1);
  relro.end = virtAddr(0x5e_2000);
  mm.node = nodeId(1);
  anonymous(0x5d_b000, 0x5e_2000, 2);
  mapAt(mm, 0x5e_2000, 0x5e_5000, { file, pgoff: 0x1e1 });
  anonymous(0x5e_2000, 0x5e_5000, 3);
  anonymous(0x5e_5000, 0x5e_c000, 3);
  mm.startBrk = virtAddr(0x2d1_0000);
  mm.brk = virtAddr(0x2d3_2000);
  anonymous(0x2d1_0000, 0x2d3_2000, 2);
  mapAt(mm, 0x7fdc_2903_a000, 0x7fdc_2904_a000);
  mm.startStack = virtAddr(0x7ffe_4b9c_0000);
  anonymous(0x7ffe_4b9a_7000, 0x7ffe_4b9c_8000, 4, 1);
  mapAt(mm, 0x7ffe_4b9d_0000, 0x7ffe_4b9d_4000, { flags: VmFlag.READ | VmFlag.PFNMAP });
  mapAt(mm, 0x7ffe_4b9d_4000, 0x7ffe_4b9d_6000, { flags: VmFlag.READ | VmFlag.EXEC });
  expect(numaMaps(machine, process)).toBe(captured("numa_maps"));
});

test("a mapping shows its own policy, or its task's", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  const policy = (mode: "bind" | "interleave" | "preferred", nodes: number[]) =>
    mpolNew(machine.memory, { mode, nodes: nodes.map((id) => nodeId(id)) });
  mapAt(mm, START, START + 0x1000).policy = policy("bind", [0, 1]);
  mapAt(mm, START + 0x1000, START + 0x2000);
  const lines = (): string[] => numaMaps(machine, process).split("\n");
  expect(lines()).toEqual(["7f0000000000 bind:0-1", "7f0000001000 default", ""]);
  mm.policy = policy("preferred", [1]);
  expect(lines()[1]).toBe("7f0000001000 prefer:1");
});

test("pages of two nodes are told apart, and those that aren't dirty are called mapped", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const file = fileAt(machine.vm, "/data file", 3);
  const vma = mapAt(mmOf(process), START, START + 0x3000, { file, flags: RW | VmFlag.SHARED });
  touchFile(vma, START, { node: 0, state: PageFlag.writeback, others: 2 });
  touchFile(vma, START + 0x1000, { node: 1, entry: Pte.dirty });
  touchFile(vma, START + 0x2000, { node: 1, state: PageFlag.active });
  expect(numaMaps(machine, process)).toBe(
    "7f0000000000 default file=/data\\040file dirty=1 mapped=3 mapmax=3 active=1 writeback=1 N0=1 N1=2 kernelpagesize_kB=4\n",
  );
});

test("pages in the swap cache are counted, pages of the kernel are not", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const { pageTable } = mmOf(process);
  const vma = mapAt(mmOf(process), START, START + 0x2000);
  const entries = [touch(vma, START), touch(vma, START + 0x1000)];
  const [first, second] = entries.map((entry) => pageTable.value(entry) as never);
  machine.vm.memmap.set(first as never, PageFlag.swapcache | PageFlag.active);
  machine.vm.memmap.set(second as never, PageFlag.reserved);
  expect(numaMaps(machine, process)).toBe(
    "7f0000000000 default anon=1 dirty=1 swapcache=1 N0=1 kernelpagesize_kB=4\n",
  );
});
