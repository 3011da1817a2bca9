// What a process may do beyond the limits is what its capabilities say, and /proc/PID/status shows those.
import { nodeId, run, virtAddr } from "@hetmem/kernel";
import { mbind, MbindFlag } from "@hetmem/migrate";
import { statusText } from "@hetmem/proc-pid";
import { RW } from "@hetmem/test-machines/files";
import { at, errnoOf, mapPages } from "@hetmem/test-machines/mappings";
import { mmOf, ORDINARY, PAGE, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { Credentials, ROOT } from "../src/process/credentials.ts";
import { forkProcess } from "../src/process/fork.ts";
import { MapFlag, Mcl } from "../src/vma/map-flags.ts";
import { mlock, mlockall } from "../src/vma/mlock.ts";
import { mmap } from "../src/vma/mmap.ts";

const ANON = MapFlag.PRIVATE | MapFlag.ANONYMOUS;

test("root locks more than RLIMIT_MEMLOCK, for CAP_IPC_LOCK is in CapEff; who hasn't it gets ENOMEM", () => {
  const { vm, spawn } = vmMachine({ rlimits: { memlock: PAGE } });
  const process = spawn();
  mapPages(process, 0, 4);
  expect(statusText(process, vm.memory)).toContain("CapEff:\t000001ffffffffff");
  expect(errnoOf(mlock(mmOf(process), at(0), 2 * PAGE))).toBe(undefined);
  expect(mmOf(process).lockedVm).toBe(2);
  process.credentials = ORDINARY;
  const status = statusText(process, vm.memory);
  expect(status).toContain("Uid:\t1000\t1000\t1000\t1000");
  expect(status).toContain("CapEff:\t0000000000000000");
  expect(errnoOf(mlock(mmOf(process), at(2), PAGE))).toBe("ENOMEM");
});

test("a limit of 0 is EPERM for who hasn't CAP_IPC_LOCK, by mlock, mlockall and MAP_LOCKED, and nothing to root", () => {
  for (const [credentials, errno] of [
    [ROOT, undefined],
    [ORDINARY, "EPERM"],
  ] as const) {
    const process = vmMachine({ rlimits: { memlock: 0 } }).spawn();
    mapPages(process, 0, 1);
    process.credentials = credentials;
    const mm = mmOf(process);
    expect(errnoOf(mlock(mm, at(0), PAGE))).toBe(errno);
    expect(errnoOf(mlockall(mm, Mcl.CURRENT))).toBe(errno);
    expect(errnoOf(mmap(mm, { length: PAGE, prot: RW, flags: ANON | MapFlag.LOCKED }))).toBe(errno);
  }
});

test("only CAP_SYS_RAWIO maps below vm.mmap_min_addr", () => {
  const process = vmMachine().spawn();
  const low = { address: virtAddr(PAGE), length: PAGE, prot: RW, flags: ANON | MapFlag.FIXED };
  expect(errnoOf(mmap(mmOf(process), low))).toBe(undefined);
  process.credentials = ORDINARY;
  expect(errnoOf(mmap(mmOf(process), low))).toBe("EPERM");
});

test("only CAP_SYS_NICE moves pages that others map, too", () => {
  const process = vmMachine().spawn();
  mapPages(process, 0, 1);
  const policy = { mode: "bind", nodes: [nodeId(0)] } as const;
  const all = () => mbind(mmOf(process), at(0), PAGE, policy, MbindFlag.MOVE_ALL);
  expect(errnoOf(all())).toBe(undefined);
  process.credentials = ORDINARY;
  expect(errnoOf(all())).toBe("EPERM");
});

test("a child has its parent's limits and rights, and what it changes is its own", () => {
  const parent = vmMachine().spawn();
  parent.credentials = new Credentials(7);
  parent.rlimits.set("memlock", { soft: PAGE, hard: 2 * PAGE }, ROOT);
  const child = run(forkProcess(parent));
  expect([child.credentials.uid, child.rlimits.get("memlock").soft]).toEqual([7, PAGE]);
  child.rlimits.set("memlock", { soft: 0, hard: 0 }, child.credentials);
  expect(parent.rlimits.get("memlock")).toEqual({ soft: PAGE, hard: 2 * PAGE });
});

test("a hard limit is raised by CAP_SYS_RESOURCE only, and a soft one never passes it", () => {
  const { rlimits } = vmMachine().spawn();
  const set = (soft: number, hard: number, by: Credentials) => () =>
    rlimits.set("memlock", { soft, hard }, by);
  expect(set(2, 1, ROOT)).toThrow(/^EINVAL/);
  set(PAGE, PAGE, ORDINARY)();
  expect(set(PAGE, 2 * PAGE, ORDINARY)).toThrow(/^EPERM/);
  set(PAGE, 2 * PAGE, ROOT)();
  expect(() => rlimits.set("nofile", { soft: 1, hard: 2 ** 21 }, ROOT)).toThrow(/^EPERM/);
});

test("limits read as the kernel prints them", () => {
  const { rlimits } = vmMachine().spawn();
  expect(rlimits.format().split("\n")).toEqual([
    "Limit                     Soft Limit           Hard Limit           Units     ",
    "Max cpu time              unlimited            unlimited            seconds   ",
    "Max file size             unlimited            unlimited            bytes     ",
    "Max data size             unlimited            unlimited            bytes     ",
    "Max stack size            8388608              unlimited            bytes     ",
    "Max core file size        0                    unlimited            bytes     ",
    "Max resident set          unlimited            unlimited            bytes     ",
    expect.stringMatching(/^Max processes {13}\d+ +\d+ +processes {1}$/),
    "Max open files            1024                 4096                 files     ",
    "Max locked memory         8388608              8388608              bytes     ",
    "Max address space         unlimited            unlimited            bytes     ",
    "Max file locks            unlimited            unlimited            locks     ",
    expect.stringMatching(/^Max pending signals {7}\d+ +\d+ +signals {3}$/),
    "Max msgqueue size         819200               819200               bytes     ",
    "Max nice priority         0                    0                    ",
    "Max realtime priority     0                    0                    ",
    "Max realtime timeout      unlimited            unlimited            us        ",
    "",
  ]);
});
