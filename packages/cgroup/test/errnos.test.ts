// The errno of each misuse of a cgroup, which changes nothing.
import { outcome } from "@hetmem/test-machines/outcome";
import { assertInvariants, run } from "@hetmem/kernel";
import { beforeEach, expect, test } from "vitest";
import { cgroupInvariants, unified } from "../src/index.ts";
import { type CgroupMachine, cgroupMachine } from "./cgroup-machine.ts";

const TOP = "/sys/fs/cgroup";
let machine: CgroupMachine;

/** Memory for /a and /a/b, nothing for /a/b/c and /plain; process 2 in /a/b, 3 in /plain. */
beforeEach(() => {
  machine = cgroupMachine();
  const { start, vfs, write } = machine;
  for (const pid of [1, 2, 3]) start(pid);
  for (const path of ["/a", "/a/b", "/plain", "/empty"]) vfs.mkdir(`${TOP}${path}`);
  for (const path of ["", "/a"]) write(`${path}/cgroup.subtree_control`, "+memory");
  write("/a/b/cgroup.procs", "2");
  write("/plain/cgroup.procs", "3");
});

test.each([
  ["cgroup.subtree_control", "/a", "memory", "EINVAL", "a controller without a sign"],
  ["cgroup.subtree_control", "/a", "+cpu", "EINVAL", "a controller that there isn't"],
  ["cgroup.subtree_control", "/a", "+io", "ENOENT", "a controller that the cgroup hasn't got"],
  ["cgroup.subtree_control", "/", "-memory", "EBUSY", "taking back what a child has handed on"],
  ["cgroup.subtree_control", "/a/b", "+memory", "EBUSY", "handing on beside tasks"],
  ["cgroup.procs", "/a", "3", "EBUSY", "a process where controllers distribute to children"],
  ["cgroup.procs", "/a/b", "99", "ESRCH", "a process that there isn't"],
  ["cgroup.procs", "/a/b", "-1", "EINVAL", "a process below zero"],
  ["cgroup.procs", "/a/b", "", "EINVAL", "no process"],
  ["cgroup.procs", "/a/b", "2 3", "EINVAL", "two processes"],
  ["cgroup.procs", "/a/b", "99999999999", "EINVAL", "a number that no process can have"],
  ["cgroup.threads", "/a", "3", "EBUSY", "a thread where controllers distribute to children"],
  ["cgroup.threads", "/a/b", "3", "EOPNOTSUPP", "a thread of another domain"],
  ["cgroup.type", "/a/b", "threaded", "EOPNOTSUPP", "a threaded cgroup"],
  ["cgroup.type", "/a/b", "domain", "EINVAL", "any other type"],
  ["cgroup.kill", "/a", "0", "ERANGE", "killing nobody"],
  ["cgroup.kill", "/a", "x", "EINVAL", "a word in place of a number"],
  ["cgroup.max.depth", "/a", "-1", "ERANGE", "a depth below zero"],
  ["cgroup.max.descendants", "/a", "many", "EINVAL", "a number of cgroups that isn't one"],
  ["cgroup.max.descendants", "/a", "4294967296", "ERANGE", "a number of cgroups that is too large"],
])("%s of %s refuses %j with %s: %s", (file, path, text, errno) => {
  const before = textOfAll();
  expect(outcome(() => machine.write(`${path === "/" ? "" : path}/${file}`, text))).toBe(errno);
  expect(textOfAll()).toBe(before);
  expect(machine.killed).toEqual([]);
});

test.each([
  ["cgroup.subtree_control", "/a", "", "nothing at all"],
  ["cgroup.subtree_control", "/a", " +memory  ", "what is enabled already"],
  ["cgroup.subtree_control", "/plain", "-memory", "taking away what isn't there"],
  ["cgroup.threads", "/a/b", "2", "a thread of the cgroup itself"],
  ["cgroup.procs", "/a/b", "0x2", "a number in any base"],
  ["cgroup.max.depth", "/a", "max", "no limit"],
])("%s of %s takes %j: %s", (file, path, text) => {
  const before = textOfAll();
  machine.write(`${path}/${file}`, text);
  expect(textOfAll()).toBe(before);
});

test.each([
  ["with a process in it", "/plain", "EBUSY"],
  ["with a cgroup below", "/a", "EBUSY"],
  ["that is the root", "", "EBUSY"],
  ["that there isn't", "/b", "ENOENT"],
])("removing a cgroup %s is refused", (_what, path, errno) => {
  expect(outcome(() => machine.vfs.rmdir(`${TOP}${path}`))).toBe(errno);
});

test.each([
  ["that is there", "/a", "EEXIST"],
  ["whose name is that of a file", "/cgroup.procs", "EEXIST"],
  ["with a newline in its name", "/x\ny", "EINVAL"],
  ["in one that there isn't", "/x/y", "ENOENT"],
])("making a cgroup %s is refused", (_what, path, errno) => {
  expect(outcome(() => machine.vfs.mkdir(`${TOP}${path}`))).toBe(errno);
});

test("a limit of depth or of descendants holds for all that is below", () => {
  const { read, vfs, write } = machine;
  write("/a/cgroup.max.descendants", "1");
  expect(outcome(() => vfs.mkdir(`${TOP}/a/b/c`))).toBe("EAGAIN");
  write("/a/cgroup.max.descendants", "2");
  vfs.mkdir(`${TOP}/a/b/c`);
  write("/cgroup.max.depth", "3");
  expect(read("/cgroup.max.depth")).toBe("3\n");
  expect(outcome(() => vfs.mkdir(`${TOP}/a/b/c/d`))).toBe("EAGAIN");
  write("/cgroup.max.depth", "2");
  vfs.mkdir(`${TOP}/empty/deep`);
  expect(outcome(() => vfs.mkdir(`${TOP}/empty/deep/deeper`))).toBe("EAGAIN");
});

test("files that were open when their cgroup or controller went answer ENODEV", () => {
  const { vfs, write } = machine;
  const procs = vfs.open(`${TOP}/empty/cgroup.procs`, "write");
  const limit = vfs.open(`${TOP}/empty/memory.limit`, "write");
  const usage = vfs.open(`${TOP}/a/b/memory.usage`, "read");
  vfs.rmdir(`${TOP}/empty`);
  write("/a/cgroup.subtree_control", "-memory");
  expect(outcome(() => run(procs.write("3")))).toBe("ENODEV");
  expect(outcome(() => run(limit.write("3")))).toBe("ENODEV");
  expect(outcome(() => run(usage.read()))).toBe("ENODEV");
});

test("whoever is in the middle of a write keeps what he writes to from being released", () => {
  const { at, memory, vfs } = machine;
  const css = at("/empty").ownCss(0);
  const write = vfs.write(`${TOP}/empty/memory.limit`, "5");
  write.next();
  vfs.rmdir(`${TOP}/empty`);
  expect([css, at("/").nrDyingDescendants]).toMatchObject([{ state: "offline" }, 1]);
  run(write);
  expect([css, at("/").nrDyingDescendants]).toMatchObject([{ state: "released", limit: "5" }, 0]);
  expect(memory.users.size).toBe(0);
});

test("the rule about tasks beside children doesn't hold for the root", () => {
  expect(machine.hierarchy.rules).toBe(unified);
  machine.write("/cgroup.procs", "2");
  machine.write("/cgroup.subtree_control", "+io");
  assertInvariants(machine.hierarchy, cgroupInvariants);
});

/** Every file of every cgroup. */
function textOfAll(): string {
  const { vfs } = machine;
  const files = [...vfs.walk(TOP)].filter(({ kind, name }) => kind === "file" && name !== "cgroup.kill");
  return files.map(({ path }) => `${path}: ${run(vfs.read(path))}`).join("");
}

test("a limit of 2147483647 cgroups is none, and one less is one", () => {
  const { read, write } = machine;
  write("/a/cgroup.max.depth", "2147483647");
  expect(read("/a/cgroup.max.depth")).toBe("max\n");
  write("/a/cgroup.max.depth", "2147483646");
  expect(read("/a/cgroup.max.depth")).toBe("2147483646\n");
});
