// Tables that are mounted when somebody first looks: the same files as ever, and no earlier than that.
import { KernelBug, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { type AttributeTable, Vfs, vfsInvariants } from "../src/index.ts";

const file = { show: () => "text\n" };

/** Roots in one another, a directory that two tables share, and a parameter. */
const TABLES: readonly AttributeTable[] = [
  { root: "/dev", files: { null: file } },
  { root: "/sys/devices", files: { "system/cpu/online": file }, directories: ["platform"] },
  { root: "/dev", files: { kmsg: file, "{name}": file }, instances: { name: () => ["dax0.0", "dax0.1"] } },
  { root: "/sys/devices/system/cpu", files: { possible: file } },
  {
    root: "/sys",
    links: { "class/mem": () => "../devices" },
    files: { "devices/system/node/has_cpu": file },
  },
];

/** A table that says how often it was read. */
function counted(table: AttributeTable): { table: AttributeTable; reads: () => number } {
  let reads = 0;
  return {
    table: {
      ...table,
      get files() {
        reads++;
        return table.files ?? {};
      },
    },
    reads: () => reads,
  };
}

test("a tree of tables that were mounted lazily is the tree of the same tables", () => {
  const [eager, lazy] = [new Vfs(), new Vfs()];
  for (const table of TABLES) {
    eager.mount(table);
    lazy.mountLazily(table);
  }
  expect(lazy.readdir("/dev")).toEqual(eager.readdir("/dev"));
  expect([...lazy.walk("/")]).toEqual([...eager.walk("/")]);
  for (const { check } of vfsInvariants) expect([...check(lazy)]).toEqual([]);
});

test("the first path that is looked up may lie deep in a table", () => {
  const vfs = new Vfs();
  for (const table of TABLES) vfs.mountLazily(table);
  expect(run(vfs.read("/sys/class/mem/system/node/has_cpu"))).toBe("text\n");
  expect(vfs.exists("/sys/devices/system/cpu/online")).toBe(true);
});

test("a table is not read before somebody looks below its root, and then once", () => {
  const { table, reads } = counted({ root: "/sys/a", files: { file } });
  const vfs = new Vfs();
  vfs.mountLazily(table);
  expect([vfs.stat("/sys/a").kind, vfs.list("/sys").map(({ name }) => name), reads()]).toEqual([
    "directory",
    ["a"],
    0,
  ]);
  for (const path of ["/sys/a/file", "/sys/a/other"]) vfs.exists(path);
  vfs.list("/sys/a");
  expect(reads()).toBe(1);
});

test("a table waits until there can be something of it", () => {
  let isThere = false;
  const { table, reads } = counted({ root: "/sys/a", isThere: () => isThere, files: { file } });
  const vfs = new Vfs();
  vfs.mountLazily(table);
  expect([vfs.list("/sys/a"), reads()]).toEqual([[], 0]);
  isThere = true;
  expect(run(vfs.read("/sys/a/file"))).toBe("text\n");
  isThere = false;
  expect(vfs.exists("/sys/a/file")).toBe(true);
});

test("what is there already is EEXIST, at once where somebody has looked or mounts at once", () => {
  const vfs = new Vfs();
  vfs.mountLazily({ root: "/sys/a", files: { file } });
  expect(() => vfs.mount({ root: "/sys/a", files: { file } })).toThrow("EEXIST");
  expect(() => vfs.mountLazily({ root: "/sys/a/file" })).toThrow("EEXIST");
  vfs.mountLazily({ root: "/sys/a", directories: ["file"] });
  expect(() => vfs.list("/sys/a")).toThrow("EEXIST");
});

test("a root is absolute", () => {
  expect(() => new Vfs().mountLazily({ root: "sys" })).toThrow(KernelBug);
});
