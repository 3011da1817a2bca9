// Each file memory.* of a cgroup: what it shows, what it takes, and what it refuses with which errno.
import { MiB, run } from "@hetmem/kernel";
import { exitProcess } from "@hetmem/mm";
import { beforeEach, expect, test } from "vitest";
import { type FilesMachine, filesMachine, line } from "@hetmem/test-machines/files-machine";
import { PAGE } from "@hetmem/test-machines/vm-machine";

const LIMITS = ["min", "low", "high", "max", "swap.high", "swap.max"];
let files: FilesMachine;

beforeEach(() => {
  files = filesMachine({ nodes: [32 * MiB, 32 * MiB], swap: 16 * MiB });
  files.echo("+memory", "/cgroup.subtree_control");
  files.mkdir("/a");
});

test.each(
  LIMITS.flatMap((name) => [
    [name, "1M", "1048576\n"],
    [name, "4097", "4096\n"],
    [name, "4095", "0\n"],
    [name, "0x2000", "8192\n"],
    [name, "010000", "4096\n"],
    [name, "16k", "16384\n"],
    [name, "2g", "2147483648\n"],
    [name, "1T", "1099511627776\n"],
    [name, "  8192  ", "8192\n"],
    [name, "max", "max\n"],
    [name, "1E", "1152921504606846976\n"],
    [name, "7E", "8070450532247928832\n"],
    [name, "9007199254749999G", "9671192608768\n"],
    [name, "9223372036854767615", "9223372036854763520\n"],
    [name, "9223372036854775807", "max\n"],
    [name, "16E", "0\n"],
    [name, "", "0\n"],
  ]),
)("memory.%s takes %j and shows %j", (name, text, shown) => {
  files.echo(text, `/a/memory.${name}`);
  expect(files.cat(`/a/memory.${name}`)).toBe(shown);
});

test.each(
  LIMITS.flatMap((name) =>
    ["-1", "foo", "1MB", "1.5M", "maximum", "1M 2M", "08"].map((text) => [name, text]),
  ),
)("memory.%s refuses %j with EINVAL, and is as before", (name, text) => {
  files.echo("12288", `/a/memory.${name}`);
  expect(files.refusal(text, `/a/memory.${name}`)).toBe("EINVAL");
  expect(files.cat(`/a/memory.${name}`)).toBe("12288\n");
});

test.each([
  ["1", undefined, "1\n"],
  ["0", undefined, "0\n"],
  ["0x1", undefined, "1\n"],
  ["2", "EINVAL", "0\n"],
  ["-1", "EINVAL", "0\n"],
  ["yes", "EINVAL", "0\n"],
  ["4294967296", "ERANGE", "0\n"],
])("memory.oom.group given %j answers %s and shows %j", (text, errno, shown) => {
  expect(files.refusal(text, "/a/memory.oom.group")).toBe(errno);
  expect(files.cat("/a/memory.oom.group")).toBe(shown);
});

test.each([
  "current",
  "peak",
  "events",
  "events.local",
  "stat",
  "numa_stat",
  "swap.current",
  "swap.events",
  "pressure",
])("memory.%s can't be written", (name) => {
  expect(files.refusal("1", `/a/memory.${name}`)).toBe("EINVAL");
});

test("the root has the files that are about everybody, and no limits", () => {
  const names = files.vfs.list("/sys/fs/cgroup").map(({ name }) => name);
  expect(names.filter((name) => name.startsWith("memory."))).toEqual([
    "memory.numa_stat",
    "memory.pressure",
    "memory.reclaim",
    "memory.stat",
  ]);
});

test("memory.current and memory.peak say what is charged, and what was at most", () => {
  const process = files.start("/a");
  files.machine.fill(process, 100);
  const current = Number(files.cat("/a/memory.current"));
  expect(current).toBeGreaterThanOrEqual(100 * PAGE);
  run(exitProcess(process));
  files.machine.memcgs.stocks.drainAll(files.machine.memcgs.root);
  expect(Number(files.cat("/a/memory.current"))).toBeLessThan(100 * PAGE);
  expect(Number(files.cat("/a/memory.peak"))).toBeGreaterThanOrEqual(current);
});

test("memory.stat and memory.numa_stat show the same pages, by kind and by node", () => {
  const process = files.start("/a");
  files.machine.fill(process, 64);
  const stat = files.cat("/a/memory.stat");
  expect(line(stat, "anon")).toBe(64 * PAGE);
  expect(line(stat, "inactive_anon") + line(stat, "active_anon")).toBe(64 * PAGE);
  expect(line(stat, "pgfault")).toBe(64);
  expect(line(stat, "pagetables")).toBeGreaterThan(0);
  expect(line(stat, "kernel")).toBe(line(stat, "pagetables") + line(stat, "kernel_stack"));
  expect(files.cat("/a/memory.numa_stat")).toContain(`anon N0=${64 * PAGE} N1=0\n`);
});

test("what is charged below a cgroup shows in it too", () => {
  files.echo("+memory", "/a/cgroup.subtree_control");
  files.mkdir("/a/b");
  files.machine.fill(files.start("/a/b"), 32);
  expect(line(files.cat("/a/memory.stat"), "anon")).toBe(32 * PAGE);
  expect(Number(files.cat("/a/memory.current"))).toBe(Number(files.cat("/a/b/memory.current")));
});

test("memory.max below what is used reclaims at once", () => {
  files.machine.fill(files.start("/a"), 512);
  files.echo("1M", "/a/memory.max");
  expect(Number(files.cat("/a/memory.current"))).toBeLessThanOrEqual(1 * MiB);
  expect(Number(files.cat("/a/memory.swap.current"))).toBeGreaterThanOrEqual(1 * MiB);
});

test("memory.high below what is used reclaims at once", () => {
  files.machine.fill(files.start("/a"), 512);
  files.echo("1M", "/a/memory.high");
  expect(Number(files.cat("/a/memory.current"))).toBeLessThanOrEqual(1 * MiB);
});

test("memory.reclaim reclaims what it is asked for, and says EAGAIN when that is too much", () => {
  files.machine.fill(files.start("/a"), 256);
  files.echo("512K", "/a/memory.reclaim");
  expect(Number(files.cat("/a/memory.swap.current"))).toBeGreaterThanOrEqual(512 * 1024);
  expect(files.refusal("1G", "/a/memory.reclaim")).toBe("EAGAIN");
  expect(files.refusal("max", "/a/memory.reclaim")).toBe("EINVAL");
  expect(files.refusal("-5", "/a/memory.reclaim")).toBe("EINVAL");
});

test("a cgroup without swap to use counts what it was refused", () => {
  files.echo("0", "/a/memory.swap.max");
  files.machine.fill(files.start("/a"), 256);
  expect(files.refusal("512K", "/a/memory.reclaim")).toBe("EAGAIN");
  expect(files.cat("/a/memory.swap.current")).toBe("0\n");
});

test("events count upwards, and events.local only where they happened", () => {
  files.echo("+memory", "/a/cgroup.subtree_control");
  files.mkdir("/a/b");
  files.echo("256K", "/a/b/memory.max");
  files.machine.fill(files.start("/a/b"), 128);
  expect(line(files.cat("/a/b/memory.events.local"), "max")).toBeGreaterThan(0);
  expect(line(files.cat("/a/memory.events"), "max")).toBe(line(files.cat("/a/b/memory.events"), "max"));
  expect(line(files.cat("/a/memory.events.local"), "max")).toBe(0);
  expect(files.cat("/a/memory.events")).toMatch(
    /^low 0\nhigh 0\nmax \d+\noom 0\noom_kill 0\noom_group_kill 0\n$/,
  );
});

test("a removed cgroup is dying as long as it pays for a page, and what it had shows above it", () => {
  const process = files.start("/a");
  files.machine.fill(process, 16);
  files.echo(`${process.pid}`, "/cgroup.procs");
  files.rmdir("/a");
  expect(files.cat("/cgroup.stat")).toBe("nr_descendants 0\nnr_dying_descendants 1\n");
  run(exitProcess(process));
  expect(files.cat("/cgroup.stat")).toBe("nr_descendants 0\nnr_dying_descendants 0\n");
});

test("with the controller disabled a process is charged to the cgroup above from then on", () => {
  const process = files.start("/a");
  files.machine.fill(process, 16);
  files.echo("-memory", "/cgroup.subtree_control");
  files.machine.fill(process, 16);
  expect(files.machine.memcgs.ofMm(process.mm ?? never()).path).toBe("/");
  files.echo("+memory", "/cgroup.subtree_control");
  expect(line(files.cat("/a/memory.stat"), "anon")).toBe(0);
});

function never(): never {
  throw new Error("the process has exited");
}
