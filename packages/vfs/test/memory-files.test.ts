import { KiB, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { type FilePages, KeptBytes, MemoryFiles, Vfs } from "../src/index.ts";
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

test("what had room stays in the file when the rest has none", () => {
  const vfs = new Vfs(new MemoryFiles(new KeptBytes(128 * KiB)));
  const file = vfs.open("/f", "write");
  expect(() => run(file.write("x".repeat(200 * KiB)))).toThrow("ENOSPC");
  expect(vfs.stat("/f").size).toBe(128 * KiB);
  expect(() => run(vfs.open("/g", "write").write("y"))).toThrow("ENOSPC");
  vfs.unlink("/f");
  run(vfs.open("/g", "write").write("y"));
  expect(run(vfs.read("/g"))).toBe("y");
});

test("what a file was cut off reads as zeros when it grows again", () => {
  const pages = new KeptBytes();
  run(pages.write(2, 0, Uint8Array.of(1, 2, 3)));
  pages.truncate(2, 1);
  run(pages.write(2, 70_000, Uint8Array.of(4)));
  expect([...run(pages.read(2, 0, 3))]).toEqual([1, 0, 0]);
  expect([...run(pages.read(2, 69_999, 10))]).toEqual([0, 4]);
});

test("a file that is larger than a text is read at offsets, and not whole", () => {
  const pages: FilePages = {
    ...new KeptBytes(),
    size: () => 2 ** 40,
    *read() {
      return Uint8Array.of(7);
    },
    *write() {
      return 1;
    },
    truncate() {},
    unlink() {},
  };
  const vfs = new Vfs(new MemoryFiles(pages));
  vfs.open("/f", "append");
  expect(() => run(vfs.read("/f"))).toThrow("EFBIG");
  expect([...run(vfs.open("/f", "read").readAt(2 ** 39, 1))]).toEqual([7]);
});

test("each character of a text is a byte, and what no byte is makes the text UTF-8", () => {
  const vfs = withTmp();
  run(vfs.open("/tmp/f", "write").write("\x00\xff\n"));
  expect([...run(vfs.open("/tmp/f", "read").readAt(0, 9))]).toEqual([0, 255, 10]);
  run(vfs.open("/tmp/f", "write").write("…"));
  expect(vfs.stat("/tmp/f").size).toBe(3);
});
