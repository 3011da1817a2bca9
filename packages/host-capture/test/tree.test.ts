import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { create as createTar } from "tar";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BUNDLED_CAPTURES } from "../src/node/bundled.ts";
import { openTree } from "../src/node/open-tree.ts";

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "hetmem-tree-"))));
afterEach(() => rmSync(folder, { recursive: true }));

function writeSmallTree(root: string): void {
  mkdirSync(join(root, "proc"), { recursive: true });
  mkdirSync(join(root, "sys/devices/system/memory/memory3"), { recursive: true });
  writeFileSync(join(root, "proc/zoneinfo"), "Node 0\n");
  writeFileSync(join(root, "sys/devices/system/memory/memory3/state"), "online\n");
}

describe("a source of files", () => {
  test("a folder and tarballs of it, however they were packed, hold the same files", () => {
    const root = join(folder, "capture");
    writeSmallTree(root);
    createTar({ file: join(folder, "plain.tar"), cwd: root, sync: true }, ["proc", "sys"]);
    createTar({ file: join(folder, "dot.tar.gz"), cwd: root, sync: true, gzip: true }, ["./"]);
    createTar({ file: join(folder, "around.tgz"), cwd: folder, sync: true, gzip: true }, ["capture"]);
    for (const source of ["capture", "plain.tar", "dot.tar.gz", "around.tgz"]) {
      const tree = openTree(join(folder, source));
      expect(tree.read("/proc/zoneinfo"), source).toBe("Node 0\n");
      expect(tree.list("/sys/devices/system/memory"), source).toEqual(["memory3"]);
      expect(tree.read("/sys/devices/system/memory/memory3/state"), source).toBe("online\n");
      expect(tree.read("/proc/iomem"), source).toBeUndefined();
      expect(tree.list("/proc/nothing"), source).toEqual([]);
    }
  });

  test("links of a capture are listed by name", () => {
    const tree = openTree(BUNDLED_CAPTURES["hidden-ram"]);
    expect(tree.list("/sys/devices/system/memory/memory9")).toContain("node1");
  });

  test("a tarball that is cut short is refused by name, at any length", () => {
    const whole = readFileSync(BUNDLED_CAPTURES["hidden-ram"]);
    const cut = join(folder, "cut.tar.gz");
    for (const bytes of [17_000, 5_000, 100, 11]) {
      writeFileSync(cut, whole.subarray(0, bytes));
      expect(() => openTree(cut), `${bytes} bytes`).toThrow(
        /^EINVAL: .*cut\.tar\.gz .*pack it again with tar -czf cut\.tar\.gz/,
      );
    }
  });

  test("what is no archive, holds no proc, or isn't there is refused with the fix", () => {
    const text = join(folder, "notes.txt");
    writeFileSync(text, "these are notes\n".repeat(100));
    expect(() => openTree(text)).toThrow(/^EINVAL: .*notes\.txt is not a tar archive/);
    mkdirSync(join(folder, "empty"));
    expect(() => openTree(join(folder, "empty"))).toThrow(/^EINVAL: .*holds no proc\/ folder/);
    expect(() => openTree(join(folder, "absent"))).toThrow(/^ENOENT: .*absent does not exist/);
  });
});

describe("a captured tree", () => {
  test("an archive that unfolds to more than a capture holds is refused before it is unfolded", () => {
    const bomb = join(folder, "bomb.tar.gz");
    writeFileSync(bomb, gzipSync(Buffer.alloc(130 * 2 ** 20), { level: 1 }));
    expect(() => openTree(bomb)).toThrow(/^EFBIG: .*bomb\.tar\.gz holds more than 128M when it is unpacked/);
  });

  test("a link out of it, and a device in it, are no files of the host", () => {
    mkdirSync(join(folder, "tree/proc"), { recursive: true });
    writeFileSync(join(folder, "secret"), "of another host\n");
    symlinkSync("../../secret", join(folder, "tree/proc/version"));
    symlinkSync("/dev/zero", join(folder, "tree/proc/iomem"));
    symlinkSync("loop", join(folder, "tree/proc/loop"));
    const tree = openTree(join(folder, "tree"));
    for (const name of ["version", "iomem", "loop"]) expect(tree.read(`/proc/${name}`), name).toBeUndefined();
  });

  test("paths of an archive that lead out of it name nothing on the host", () => {
    mkdirSync(join(folder, "tree/proc"), { recursive: true });
    writeFileSync(join(folder, "tree/proc/zoneinfo"), "Node 0\n");
    const file = join(folder, "odd.tar");
    createTar({ file, cwd: join(folder, "tree"), sync: true, prefix: "../..", preservePaths: true }, [
      "proc",
    ]);
    expect(openTree(file).read("/etc/hostname")).toBeUndefined();
  });
});
