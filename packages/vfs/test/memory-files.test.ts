import { KernelError, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { MemoryFiles, Vfs } from "../src/index.ts";
import { smallMachine } from "./machine-tables.ts";

function withTmp(): Vfs {
  const vfs = new Vfs();
  vfs.mkdir("/tmp");
  return vfs;
}

test("a file is made by opening it for writing and keeps what is written", () => {
  const vfs = withTmp();
  const file = vfs.open("/tmp/f", "write");
  run(file.write("one\n"));
  run(file.write("two\n"));
  expect(run(vfs.read("/tmp/f"))).toBe("one\ntwo\n");
  expect(vfs.stat("/tmp/f")).toMatchObject({ kind: "file", size: 8, mode: 0o644, blocks: 8 });
});

test("opening for writing empties a file and opening to append does not", () => {
  const vfs = withTmp();
  run(vfs.open("/tmp/f", "write").write("old"));
  run(vfs.open("/tmp/f", "append").write("+new"));
  expect(run(vfs.read("/tmp/f"))).toBe("old+new");
  vfs.open("/tmp/f", "write");
  expect(run(vfs.read("/tmp/f"))).toBe("");
});

test("two appenders never overwrite each other", () => {
  const vfs = withTmp();
  const one = vfs.open("/tmp/f", "append");
  const two = vfs.open("/tmp/f", "append");
  run(one.write("1"));
  run(two.write("2"));
  run(one.write("3"));
  expect(run(vfs.read("/tmp/f"))).toBe("123");
});

test("directories can be made, filled and removed when empty", () => {
  const vfs = withTmp();
  vfs.mkdir("/tmp/d/");
  vfs.open("/tmp/d/f", "write");
  expect(() => vfs.mkdir("/tmp/d")).toThrow("EEXIST");
  expect(() => vfs.rmdir("/tmp/d")).toThrow("ENOTEMPTY");
  vfs.unlink("/tmp/d/f");
  vfs.rmdir("/tmp/d");
  expect(vfs.list("/tmp")).toEqual([]);
});

test("no directory can be made where a table is mounted", () => {
  const { vfs } = smallMachine();
  expect(() => vfs.mkdir("/sys/devices/system/memory/x")).toThrow("EACCES");
  expect(() => vfs.rmdir("/sys/devices/system/memory/power")).toThrow("EPERM");
});

test("mounted directories and files of memory are one root", () => {
  const { vfs } = smallMachine();
  vfs.mkdir("/tmp");
  expect(vfs.list("/").map(({ name }) => name)).toEqual(["sys", "tmp"]);
});

test("whoever keeps the pages hears each size, and a refusal leaves the file as it was", () => {
  const sizes: [number, number][] = [];
  const pages = {
    resize(inode: number, bytes: number): void {
      if (bytes > 100) throw new KernelError("ENOSPC", "the tmpfs is full");
      sizes.push([inode, bytes]);
    },
  };
  const vfs = new Vfs(new MemoryFiles(pages));
  const file = vfs.open("/f", "write");
  run(file.write("12345"));
  expect(() => run(file.write("x".repeat(200)))).toThrow("ENOSPC");
  expect(run(vfs.read("/f"))).toBe("12345");
  vfs.unlink("/f");
  expect(sizes).toEqual([
    [2, 5],
    [2, 0],
  ]);
});
