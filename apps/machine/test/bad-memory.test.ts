// Bad memory of devices, on whole machines: known before it becomes RAM, met by a process, found by a scrub, said to be bad
// for a test.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { KernelError, type Pfn, run } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

const PMEM = fileURLToPath(new URL("../fixtures/machines/server-pmem.yaml", import.meta.url));
const spec = machineOfYaml(readFileSync(PMEM, "utf8").replace(/^rules:\n.*\n/m, ""), PMEM);

/** A machine with a namespace of 1 GiB as dax0.0, and a shell on it. */
function devdax() {
  const machine = createMachine(spec);
  const shell = new Shell(machine, PROGRAMS);
  const sh = (line: string): string => run(shell.execute(line)).output;
  sh("ndctl create-namespace -m devdax -s 1G");
  const device = machine.devices.dax.bus.devices.get("dax0.0");
  const start = device?.ranges[0]?.start ?? 0;
  /** The page struct of a sector of the device. */
  const isMarked = (block: number): boolean => {
    const { memmap } = machine.memory;
    return memmap.test(memmap.pfnToPage(Math.floor((start + block * 512) / 4096) as Pfn), PageFlag.hwpoison);
  };
  return { machine, sh, start, isMarked };
}

/** A process that has all of the device mapped and has written to its first 8 KiB; PID and ADDR are variables of the shell. */
function mapped() {
  const made = devdax();
  const { sh } = made;
  sh("proc start db; PID=$(pidof db); ADDR=$(proc mmap $PID 16M --file /dev/dax0.0 --shared)");
  sh("proc write $PID $ADDR first; proc write $PID $(printf 0x%x $((ADDR + 4096))) second");
  return made;
}

test("bad blocks that are known are cleared before a namespace becomes RAM, and all of it goes online", () => {
  const { sh, machine } = devdax();
  sh("ndctl inject-error -B 600000 -n 8 namespace0.0");
  expect(sh("daxctl reconfigure-device -m system-ram dax0.0")).toContain('"online_memblocks":7');
  expect(sh("dmesg | grep -c 'bad blocks cleared'")).toBe("8\n");
  expect(machine.devices.nvdimm?.badrange.isEmpty).toBe(true);
});

test("where the firmware can't clear, the block with bad memory stays out of RAM", () => {
  const { nvdimm } = spec;
  if (!nvdimm) throw new Error("the fixture has persistent memory");
  const machine = createMachine({ ...spec, nvdimm: { ...nvdimm, firmware: "labels" } });
  const shell = new Shell(machine, PROGRAMS);
  const sh = (line: string): string => run(shell.execute(line)).output;
  sh("ndctl create-namespace -m devdax -s 1G");
  const start = machine.devices.dax.bus.devices.get("dax0.0")?.ranges[0]?.start ?? 0;
  const bad = start + 512 * 2 ** 20;
  machine.devices.nvdimm?.badrange.add(bad, bad + 256);
  expect(sh("daxctl reconfigure-device -m system-ram dax0.0")).toContain('"online_memblocks":6');
  expect(sh("dmesg")).toContain("can't be cleared: their memory blocks are left out");
  expect(sh(`cat /sys/devices/system/memory/memory${Math.floor(bad / 2 ** 27)}/state`)).toContain("No such");
});

test("an error that is injected while a process has the device mapped marks the page, and its next touch is SIGBUS", () => {
  const { sh, isMarked } = mapped();
  sh("ndctl inject-error -B 8 -n 1 namespace0.0");
  expect(isMarked(8)).toBe(true);
  expect(sh("proc read $PID $ADDR 5")).toMatch(/first$/m);
  expect(sh("proc read $PID $(printf 0x%x $((ADDR + 4096))) 6")).toMatch(
    /^Bus error\n {4}BUS_MCEERR_AR at 0x[0-9a-f]+1000: the page's memory is bad$/m,
  );
  expect(sh("dmesg | grep 'recovery action'")).toMatch(/dax page: Recovered\n$/);
});

test("a process that asked to hear early is told of it before it touches the page", () => {
  const { sh, machine } = mapped();
  const [db] = [...machine.vm.processes].filter(({ comm }) => comm === "db");
  if (!db) throw new Error("the process is gone");
  db.mceKillEarly = true;
  sh("ndctl inject-error -B 8 -n 1 namespace0.0");
  expect(db.signals).toMatchObject([{ signo: "SIGBUS", code: "BUS_MCEERR_AO", addressLsb: 21 }]);
  expect(sh("pidof db")).toBe("");
});

test("a latent error is met by the process that touches it first, and everybody knows of it then", () => {
  const { sh, isMarked, machine } = devdax();
  sh("ndctl inject-error -N -B 8 -n 1 namespace0.0");
  sh("proc start db; PID=$(pidof db); ADDR=$(proc mmap $PID 16M --file /dev/dax0.0 --shared)");
  expect(sh("proc read $PID $ADDR 4; proc read $PID $(printf 0x%x $((ADDR + 4096))) 6")).toMatch(
    /BUS_MCEERR_AR/,
  );
  expect(isMarked(8)).toBe(true);
  expect(machine.devices.nvdimm?.badrange.isEmpty).toBe(false);
});

test("a latent error that a scrub finds marks a page of the device that nobody has mapped", () => {
  const { sh, isMarked } = devdax();
  sh("ndctl inject-error -N -B 64 -n 1 namespace0.0");
  expect(isMarked(64)).toBe(false);
  sh("ndctl start-scrub; ndctl wait-scrub");
  expect(isMarked(64)).toBe(true);
});

test("cleared memory can be touched again", () => {
  const { sh } = mapped();
  sh("ndctl inject-error -B 8 -n 1 namespace0.0");
  sh("ndctl clear-errors namespace0.0");
  expect(
    sh(
      "proc write $PID $(printf 0x%x $((ADDR + 4096))) new; proc read $PID $(printf 0x%x $((ADDR + 4096))) 3",
    ),
  ).toMatch(/new$/m);
});

test("an error in a namespace that has become RAM is one of RAM: free pages leave the allocator, used ones their process", () => {
  const { sh, isMarked, machine } = devdax();
  sh("daxctl reconfigure-device -m system-ram dax0.0");
  sh("ndctl inject-error -N -B 600000 -n 1 namespace0.0; ndctl start-scrub; ndctl wait-scrub");
  expect(isMarked(600_000)).toBe(true);
  expect(sh("dmesg | grep 'recovery action'")).toMatch(/free buddy page: Recovered\n$/);
  expect(sh("grep HardwareCorrupted /proc/meminfo")).toMatch(/ 4 kB$/m);

  sh("proc start db; PID=$(pidof db); proc set_mempolicy $PID bind 2; ADDR=$(proc mmap $PID 4K --populate)");
  const frame = parseInt(
    sh("od -An -tx8 -j $((ADDR / 4096 * 8)) -N 8 /proc/$PID/pagemap").trim().slice(-8),
    16,
  );
  const start = machine.devices.dax.bus.devices.get("dax0.0")?.ranges[0]?.start ?? 0;
  sh(`ndctl inject-error -B ${(frame * 4096 - start) / 512} -n 1 namespace0.0`);
  expect(sh("proc touch $PID $ADDR 1")).toContain("BUS_MCEERR_AR");
});

test("MADV_HWPOISON and hard_offline_page reach the driver of a device's page", () => {
  const { sh, start, isMarked, machine } = mapped();
  const [db] = [...machine.vm.processes].filter(({ comm }) => comm === "db");
  sh("proc madvise $PID $ADDR 4K HWPOISON");
  expect(isMarked(0)).toBe(true);
  expect(db?.signals).toMatchObject([{ signo: "SIGBUS", code: "BUS_MCEERR_AR", addressLsb: 21 }]);
  sh(`echo ${start + 4096} > /sys/devices/system/memory/hard_offline_page`);
  expect(isMarked(8)).toBe(true);
});

test("what a device keeps struct pages in is beyond recovery: ENXIO", () => {
  const { sh, machine } = devdax();
  const [namespace] = machine.devices.nvdimm?.namespaces() ?? [];
  expect(
    sh(`echo ${(namespace?.range.start ?? 0) + 2 ** 20} > /sys/devices/system/memory/hard_offline_page`),
  ).toContain("No such device or address");
  expect(sh("dmesg | tail -1")).toMatch(/recovery action for dax page: Failed$/m);
});

test("a machine check that nobody has a pagemap for is outside of the kernel's control", () => {
  const { machine } = devdax();
  expect(() => run(machine.failure.hardOffline(0x3f0000 as Pfn))).toThrow(KernelError);
  expect(machine.kernel.log.records.at(-1)?.text).toBe(
    "Memory failure: 0x3f0000: memory outside kernel control",
  );
});
