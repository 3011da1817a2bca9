// The files of the older hierarchy: names, values, and what they refuse.
import { legacy } from "@hetmem/cgroup";
import { MiB } from "@hetmem/kernel";
import { beforeEach, expect, test } from "vitest";
import { type FilesMachine, filesMachine, line } from "@hetmem/test-machines/files-machine";
import { PAGE } from "@hetmem/test-machines/vm-machine";

const UNLIMITED = "9223372036854771712\n";
let files: FilesMachine;

beforeEach(() => {
  files = filesMachine({ rules: legacy, swap: 16 * MiB });
  files.mkdir("/a");
  files.mkdir("/a/b");
});

test.each([
  ["limit_in_bytes", "1M", undefined, "1048576\n"],
  ["limit_in_bytes", "-1", undefined, UNLIMITED],
  ["limit_in_bytes", "4097", undefined, "4096\n"],
  ["limit_in_bytes", "max", "EINVAL", UNLIMITED],
  ["limit_in_bytes", "foo", "EINVAL", UNLIMITED],
  ["kmem.limit_in_bytes", "1M", undefined, UNLIMITED],
  ["kmem.limit_in_bytes", "foo", "EINVAL", UNLIMITED],
  ["use_hierarchy", "1", undefined, "1\n"],
  ["use_hierarchy", "0", "EINVAL", "1\n"],
  ["usage_in_bytes", "0", "EINVAL", "0\n"],
  ["failcnt", "0", undefined, "0\n"],
  ["swappiness", "200", undefined, "200\n"],
  ["swappiness", "201", "EINVAL", "60\n"],
  ["swappiness", " 1", "EINVAL", "60\n"],
  ["oom_control", "0", undefined, "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"],
  ["oom_control", "2", "EINVAL", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"],
  ["oom_control", "1", "EOPNOTSUPP", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"],
])("memory.%s given %j answers %s and shows %j", (name, text, errno, shown) => {
  expect(files.refusal(text, `/a/memory.${name}`)).toBe(errno);
  expect(files.cat(`/a/memory.${name}`)).toBe(shown);
});

test.each([
  ["limit_in_bytes", "1M"],
  ["force_empty", "0"],
  ["oom_control", "0"],
])("memory.%s of the root refuses %j", (name, text) => {
  expect(files.refusal(text, `/memory.${name}`)).toBe("EINVAL");
});

test("a limit below what is used reclaims, and stays as it was when that isn't enough", () => {
  files.machine.fill(files.start("/a"), 512);
  files.echo("1M", "/a/memory.limit_in_bytes");
  expect(Number(files.cat("/a/memory.usage_in_bytes"))).toBeLessThanOrEqual(1 * MiB);
  expect(files.refusal("4096", "/a/memory.limit_in_bytes")).toBe("EBUSY");
  expect(files.cat("/a/memory.limit_in_bytes")).toBe("1048576\n");
});

test("force_empty reclaims all that can be", () => {
  files.machine.fill(files.start("/a"), 128);
  files.echo("0", "/a/memory.force_empty");
  expect(line(files.cat("/a/memory.stat"), "rss")).toBe(0);
  expect(files.cat("/a/memory.usage_in_bytes")).toBe(files.cat("/a/memory.kmem.usage_in_bytes"));
});

test("a write begins the highest usage and the count of refusals anew", () => {
  files.echo("256K", "/a/memory.limit_in_bytes");
  files.machine.fill(files.start("/a"), 128);
  expect(Number(files.cat("/a/memory.failcnt"))).toBeGreaterThan(0);
  files.echo("0", "/a/memory.force_empty");
  for (const name of ["failcnt", "max_usage_in_bytes"]) files.echo("0", `/a/memory.${name}`);
  expect(files.cat("/a/memory.failcnt")).toBe("0\n");
  expect(files.cat("/a/memory.max_usage_in_bytes")).toBe(files.cat("/a/memory.usage_in_bytes"));
});

test("memory.stat tells a cgroup's own from what is below it, and the limit that holds for it", () => {
  files.echo("8M", "/a/memory.limit_in_bytes");
  files.machine.fill(files.start("/a"), 20);
  files.machine.fill(files.start("/a/b"), 30);
  const stat = files.cat("/a/memory.stat");
  expect([line(stat, "rss"), line(stat, "total_rss")]).toEqual([20 * PAGE, 50 * PAGE]);
  expect([line(stat, "pgfault"), line(stat, "total_pgfault")]).toEqual([20, 50]);
  expect(line(files.cat("/a/b/memory.stat"), "hierarchical_memory_limit")).toBe(8 * MiB);
  expect(files.cat("/a/memory.numa_stat")).toContain("anon=20 N0=20\n");
  expect(files.cat("/a/memory.numa_stat")).toContain("hierarchical_anon=50 N0=50\n");
});

test("a new cgroup has the swappiness of the one above, and keeps it", () => {
  files.echo("10", "/a/memory.swappiness");
  files.mkdir("/a/c");
  files.echo("20", "/a/memory.swappiness");
  files.echo("30", "/memory.swappiness");
  const values = ["", "/a", "/a/b", "/a/c"].map((path) => files.cat(`${path}/memory.swappiness`));
  expect(values).toEqual(["30\n", "20\n", "60\n", "10\n"]);
});

test("without swappiness no anonymous page is reclaimed", () => {
  files.echo("0", "/a/memory.swappiness");
  files.machine.fill(files.start("/a"), 128);
  expect(files.refusal("256K", "/a/memory.limit_in_bytes")).toBe("EBUSY");
  files.echo("60", "/a/memory.swappiness");
  files.echo("256K", "/a/memory.limit_in_bytes");
});

test("the root is charged for nothing and says what there is", () => {
  files.machine.fill(files.start("/a"), 20);
  files.machine.fill(files.start(""), 30);
  expect(files.cat("/memory.usage_in_bytes")).toBe(`${50 * PAGE}\n`);
});
