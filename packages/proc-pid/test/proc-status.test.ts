import { MiB, virtAddr } from "@hetmem/kernel";
import { forkProcess, type Process, Rss } from "@hetmem/mm";
import { captured } from "@hetmem/test-machines/busybox";
import { mapAt, touch } from "@hetmem/test-machines/hand-mapped";
import { mmOf, type VmMachine, vmMachine } from "@hetmem/test-machines/vm-machine";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { procPidTable } from "../src/proc-pid.ts";

const START = 0x7f00_0000_0000;

function mountedOn({ vm }: VmMachine): Vfs {
  const vfs = new Vfs();
  vfs.mount(procPidTable(vm));
  return vfs;
}

function read(machine: VmMachine, { pid }: Process, name: string): string {
  return machine.run(mountedOn(machine).read(`/proc/${pid}/${name}`));
}

function write(machine: VmMachine, { pid }: Process, name: string, text: string): void {
  machine.run(mountedOn(machine).write(`/proc/${pid}/${name}`, text));
}

/** The values of /proc/PID/status by label. */
function status(machine: VmMachine, process: Process): Record<string, string> {
  return Object.fromEntries(
    read(machine, process, "status")
      .split("\n")
      .map((line) => line.split(/:\t\s*/) as [string, string]),
  );
}

test("the status of busybox is the captured one but for its numbers of processes, pages and switches", () => {
  const machine = vmMachine({ nodes: [1024 * MiB, 908 * MiB] });
  const process = machine.spawn("cat");
  const mm = mmOf(process);
  mm.startCode = virtAddr(0x40_1000);
  mm.endCode = virtAddr(0x58_4321);
  mm.execVm = 388 + 2;
  mm.totalVm = 581;
  mm.dataVm = 60;
  mm.stackVm = 33;
  // Ours has one table where the captured process has eight.
  const expected = captured("status")
    .replaceAll(/^(Tgid|Pid|NStgid|NSpid):\t\d+$/gm, `$1:\t${process.pid}`)
    .replace(/^PPid:\t\d+$/m, "PPid:\t1")
    .replace(/^FDSize:\t\d+$/m, "FDSize:\t64")
    .replaceAll(/^(VmHWM|VmRSS|RssAnon|VmPTE):\t +\d+ kB$/gm, "$1:\t       0 kB")
    .replace(/^SigQ:.*$/m, /^SigQ:.*$/m.exec(read(machine, process, "status"))?.[0] ?? "")
    .replace(/^nonvoluntary_ctxt_switches:\t\d+$/m, "nonvoluntary_ctxt_switches:\t0");
  expect(read(machine, process, "status")).toBe(expected);
});

test("one signal may wait for every 256 KiB of memory", () => {
  const machine = vmMachine({ nodes: [1024 * MiB, 908 * MiB] });
  // The capture, of a machine of 1932 MiB, says 7675: its kernel counted before the memory of the initrd was freed.
  const [, limit] = status(machine, machine.spawn())["SigQ"]?.split("/") ?? [];
  expect(Number(limit) / 7675).toBeCloseTo(1, 1.5);
});

test("resident pages are told by kind, and the peaks aren't below what is there now", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  mm.rss.set([3, 5, 7, 11]);
  mm.totalVm = 100;
  mm.hiwaterVm = 90;
  mm.hiwaterRss = 25;
  expect(status(machine, process)).toMatchObject({
    VmPeak: "400 kB",
    VmSize: "400 kB",
    VmHWM: "100 kB",
    VmRSS: "76 kB",
    RssFile: "12 kB",
    RssAnon: "20 kB",
    RssShmem: "44 kB",
    VmSwap: "28 kB",
  });
  mm.hiwaterVm = 120;
  expect(status(machine, process)["VmPeak"]).toBe("480 kB");
});

test("page tables count, but for the topmost one", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  expect(status(machine, process)["VmPTE"]).toBe("0 kB");
  touch(mapAt(mmOf(process), START, START + 4096), START);
  expect(status(machine, process)["VmPTE"]).toBe("12 kB");
});

test("code of the program is VmExe, all other code VmLib", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  mm.execVm = 10;
  mm.startCode = virtAddr(0x40_0800);
  mm.endCode = virtAddr(0x40_1001);
  expect(status(machine, process)).toMatchObject({ VmExe: "8 kB", VmLib: "32 kB" });
});

test("a name that would break its line is escaped in status and not in comm", () => {
  const machine = vmMachine();
  const process = machine.spawn("a\nb\\c");
  expect(read(machine, process, "status").split("\n")[0]).toBe("Name:\ta\\nb\\\\c");
  expect(read(machine, process, "comm")).toBe("a\nb\\c\n");
});

test("a child names its parent, and is init's when that has gone", () => {
  const machine = vmMachine();
  const parent = machine.spawn();
  const child = machine.run(forkProcess(parent));
  expect(status(machine, child)["PPid"]).toBe(`${parent.pid}`);
  parent.mm = undefined;
  expect(status(machine, child)["PPid"]).toBe("1");
});

test("a zombie has no memory to tell of", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  process.mm = undefined;
  const lines = status(machine, process);
  expect(lines["State"]).toBe("Z (zombie)");
  expect(lines).not.toHaveProperty("VmSize");
  expect(read(machine, process, "statm")).toBe("0 0 0 0 0 0 0\n");
  expect(read(machine, process, "smaps")).toBe("");
  expect(() => read(machine, process, "smaps_rollup")).toThrow(/ESRCH/);
});

test("statm has pages: size, resident, shared, text, 0, data, 0", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const mm = mmOf(process);
  mm.totalVm = 50;
  mm.dataVm = 6;
  mm.stackVm = 2;
  mm.rss[Rss.anon] = 10;
  mm.rss[Rss.file] = 4;
  mm.rss[Rss.shmem] = 1;
  mm.endCode = virtAddr(0x2001);
  expect(read(machine, process, "statm")).toBe("50 15 5 3 0 8 0\n");
});

test("the words of a command line end with a zero byte each", () => {
  const machine = vmMachine();
  const process = machine.spawn("cat");
  process.argv = ["cat", "/proc/self/maps"];
  expect(read(machine, process, "cmdline")).toBe("cat\0/proc/self/maps\0");
});

test("only a process itself may change its name", () => {
  const machine = vmMachine();
  expect(() => write(machine, machine.spawn("old"), "comm", "new")).toThrow(/EINVAL/);
});

test("oom_score is two thirds of a thousandth of memory for each part in use, shifted by the adjustment", () => {
  const machine = vmMachine({ nodes: [64 * MiB] });
  const process = machine.spawn();
  expect(read(machine, process, "oom_score")).toBe("666\n");
  const managed = machine.memory.nodes[0]?.managedPages ?? 0;
  mmOf(process).rss[Rss.anon] = Math.floor(managed / 2);
  expect(Number(read(machine, process, "oom_score"))).toBeCloseTo(1000, -1);
  write(machine, process, "oom_score_adj", "-1000\n");
  expect(read(machine, process, "oom_score")).toBe("0\n");
  expect(read(machine, process, "oom_score_adj")).toBe("-1000\n");
});

test("oom_score_adj takes -1000 to 1000 in any base, for all who share the memory", () => {
  const machine = vmMachine();
  const process = machine.spawn();
  const thread = machine.vm.processes.add("thread", mmOf(process), process);
  write(machine, process, "oom_score_adj", " 0x10 \n");
  expect([process.oomScoreAdj, thread.oomScoreAdj]).toEqual([16, 16]);
  for (const bad of ["1001", "-1001", "many", "", "08"])
    expect(() => write(machine, process, "oom_score_adj", `${bad}\n`)).toThrow(/EINVAL/);
  expect(() => write(machine, process, "oom_score_adj", "4294967296")).toThrow(/ERANGE/);
  expect(process.oomScoreAdj).toBe(16);
});
