// Directories that user space makes and removes in a file system that is rendered.
import { outcome } from "@hetmem/test-machines/outcome";
import { assertInvariants, KernelError, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { type Attribute, type TreeDirectory, Vfs, vfsInvariants } from "../src/index.ts";

/** Each directory has a file that tells its name, and can't go while there is one in it. */
class Shelf implements TreeDirectory {
  readonly shelves: Map<string, Shelf> = new Map();
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  fileNames(): Iterable<string> {
    return ["name", "reset"];
  }

  directoryNames(): Iterable<string> {
    return this.shelves.keys();
  }

  file(name: string): Attribute | undefined {
    if (name === "reset") return { store: () => {} };
    return name === "name" ? { show: () => `${this.#name}\n` } : undefined;
  }

  directory(name: string): TreeDirectory | undefined {
    return this.shelves.get(name);
  }

  mkdir(name: string): void {
    if (name === "no") throw new KernelError("EAGAIN", "there is no shelf called so");
    this.shelves.set(name, new Shelf(name));
  }

  rmdir(name: string): void {
    if (this.shelves.get(name)?.shelves.size) throw new KernelError("EBUSY", `${name} has shelves`);
    this.shelves.delete(name);
  }
}

function withTree(): Vfs {
  const vfs = new Vfs();
  vfs.mount({
    root: "/sys/fs",
    files: { version: { show: () => "1\n" } },
    trees: { cgroup: new Shelf("top") },
  });
  return vfs;
}

test("a directory that is made in a tree has its files at once, at any depth", () => {
  const vfs = withTree();
  vfs.mkdir("/sys/fs/cgroup/a");
  vfs.mkdir("/sys/fs/cgroup/a/b/");
  expect(run(vfs.read("/sys/fs/cgroup/a/b/name"))).toBe("b\n");
  expect(run(vfs.read("/sys/fs/cgroup/a/b/../../name"))).toBe("top\n");
  expect(vfs.list("/sys/fs/cgroup/a")).toEqual([
    { name: "b", kind: "directory" },
    { name: "name", kind: "file" },
    { name: "reset", kind: "file" },
  ]);
  expect(vfs.stat("/sys/fs/cgroup/a")).toMatchObject({ kind: "directory", mode: 0o755, nlink: 3 });
  expect(vfs.glob("/sys/fs/cgroup/*/*/name")).toEqual(["/sys/fs/cgroup/a/b/name"]);
  assertInvariants(vfs, vfsInvariants);
});

test("removing a directory of a tree takes its files along", () => {
  const vfs = withTree();
  vfs.mkdir("/sys/fs/cgroup/a");
  vfs.rmdir("/sys/fs/cgroup/a");
  expect(vfs.list("/sys/fs/cgroup").map(({ name }) => name)).toEqual(["name", "reset"]);
  expect(vfs.exists("/sys/fs/cgroup/a/name")).toBe(false);
});

test.each([
  ["a name that is taken by a file", (vfs: Vfs) => vfs.mkdir("/sys/fs/cgroup/name"), "EEXIST"],
  ["a name that is taken by a directory", (vfs: Vfs) => vfs.mkdir("/sys/fs/cgroup/full"), "EEXIST"],
  ["what the tree doesn't want", (vfs: Vfs) => vfs.mkdir("/sys/fs/cgroup/no"), "EAGAIN"],
  ["a directory below one that isn't there", (vfs: Vfs) => vfs.mkdir("/sys/fs/cgroup/x/y"), "ENOENT"],
  ["a file", (vfs: Vfs) => vfs.open("/sys/fs/cgroup/new", "write"), "EACCES"],
  ["a directory beside the tree", (vfs: Vfs) => vfs.mkdir("/sys/fs/other"), "EACCES"],
])("making %s is refused", (_what, make, errno) => {
  const vfs = withTree();
  vfs.mkdir("/sys/fs/cgroup/full");
  expect(outcome(() => make(vfs))).toBe(errno);
});

test.each([
  ["a directory that the tree keeps", (vfs: Vfs) => vfs.rmdir("/sys/fs/cgroup/full"), "EBUSY"],
  ["the top of the tree", (vfs: Vfs) => vfs.rmdir("/sys/fs/cgroup"), "EBUSY"],
  ["a file with rmdir", (vfs: Vfs) => vfs.rmdir("/sys/fs/cgroup/name"), "ENOTDIR"],
  ["a file of the tree", (vfs: Vfs) => vfs.unlink("/sys/fs/cgroup/name"), "EPERM"],
  ["what isn't there", (vfs: Vfs) => vfs.rmdir("/sys/fs/cgroup/x"), "ENOENT"],
])("removing %s is refused", (_what, remove, errno) => {
  const vfs = withTree();
  vfs.mkdir("/sys/fs/cgroup/full");
  vfs.mkdir("/sys/fs/cgroup/full/inner");
  expect(outcome(() => remove(vfs))).toBe(errno);
});

test("a file of cgroups is opened whatever it can do, and then says EINVAL", () => {
  const vfs = withTree();
  expect(outcome(() => run(vfs.read("/sys/fs/cgroup/reset")))).toBe("EINVAL");
  expect(outcome(() => run(vfs.write("/sys/fs/cgroup/name", "x")))).toBe("EINVAL");
  run(vfs.write("/sys/fs/cgroup/reset", "1"));
});

test("nothing else can be mounted where a tree is, nor below it", () => {
  const vfs = withTree();
  const file: Attribute = { show: () => "" };
  expect(outcome(() => vfs.mount({ root: "/sys/fs", files: { cgroup: file } }))).toBe("EEXIST");
  expect(outcome(() => vfs.mount({ root: "/sys/fs/cgroup", files: { file } }))).toBe("EEXIST");
});

test("what is asked of one name doesn't list the directory that it is in, or that it is", () => {
  let listed = 0;
  const top = new Shelf("top");
  const counting = new Vfs();
  top.directoryNames = () => {
    listed++;
    return top.shelves.keys();
  };
  counting.mount({ root: "/sys/fs", trees: { cgroup: top } });
  counting.mkdir("/sys/fs/cgroup/a");
  expect(counting.stat("/sys/fs/cgroup").kind).toBe("directory");
  expect(counting.exists("/sys/fs/cgroup/a/name")).toBe(true);
  expect(counting.glob("/sys/fs/cgroup/a/[")).toEqual([]);
  expect(listed).toBe(0);
  expect(counting.stat("/sys/fs/cgroup").nlink).toBe(3);
});

test("a name has at most 255 bytes and a path 4095", () => {
  const vfs = withTree();
  expect(() => vfs.stat(`/sys/${"n".repeat(256)}`)).toThrow("ENAMETOOLONG");
  expect(() => vfs.stat(`/${"sys/../".repeat(600)}`)).toThrow("ENAMETOOLONG");
  expect(() => vfs.mkdir(`/${"n".repeat(256)}`)).toThrow("ENAMETOOLONG");
  expect(() => vfs.stat(`/${"n".repeat(255)}`)).toThrow("ENOENT");
});
