import { outcome } from "@hetmem/test-machines/outcome";
import { condResched, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { Vfs } from "../src/index.ts";

const FIRMWARE = "/sys/firmware/table";

/** A file of the bytes 0, 1, 2 … 9, and a text beside it. */
function vfsWithBytes(): Vfs {
  const vfs = new Vfs();
  vfs.mount({
    root: "/sys/firmware",
    files: {
      table: {
        *readAt(_params, offset, length) {
          yield condResched;
          const end = Math.min(offset + length, 10);
          return Uint8Array.from({ length: Math.max(end - offset, 0) }, (_, i) => offset + i);
        },
      },
      version: { show: () => "6.1\n" },
      trigger: { store: () => {} },
    },
  });
  return vfs;
}

test("a file of bytes is read at an offset, up to its end", () => {
  const file = vfsWithBytes().open(FIRMWARE, "read");
  expect([...run(file.readAt(3, 4))]).toEqual([3, 4, 5, 6]);
  expect([...run(file.readAt(8, 100))]).toEqual([8, 9]);
  expect([...run(file.readAt(10, 1))]).toEqual([]);
});

test("a file of bytes can't be read as one text: EINVAL", () => {
  expect(outcome(() => run(vfsWithBytes().read(FIRMWARE)))).toBe("EINVAL");
});

test("a file of bytes is readable by everybody unless it says otherwise, and never writable without a store", () => {
  const vfs = vfsWithBytes();
  expect(vfs.stat(FIRMWARE).mode).toBe(0o444);
  expect(outcome(() => vfs.open(FIRMWARE, "write"))).toBe("EACCES");
});

test("a text and a plain file have bytes at an offset too", () => {
  const vfs = vfsWithBytes();
  vfs.mkdir("/tmp");
  run(vfs.open("/tmp/f", "write").write("\u00ff\0abc"));
  expect([...run(vfs.open("/sys/firmware/version", "read").readAt(1, 2))]).toEqual([0x2e, 0x31]);
  expect([...run(vfs.open("/tmp/f", "read").readAt(0, 3))]).toEqual([0xff, 0, 0x61]);
});

test("a file that can only be written has no bytes to give: EACCES", () => {
  expect(outcome(() => vfsWithBytes().open("/sys/firmware/trigger", "read"))).toBe("EACCES");
});
