import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KernelBug } from "@hetmem/kernel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failWith } from "../src/commands/failure.ts";
import { BUNDLED_CAPTURES } from "@hetmem/host-capture/node";
import { hetmem } from "./hetmem-program.ts";

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "hetmem-outside-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function written(name: string, content: string | Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

const NODE = "{ memory: 1G, cpus: 0 }";

describe("a file that is no machine file", () => {
  test.each([
    ["an archive", () => BUNDLED_CAPTURES.nvdimm, /is a gzip file, not text: give --machine a YAML file/],
    ["bytes", () => written("a.yaml", Uint8Array.of(0x6e, 0, 1, 2)), /is not text, it has zero bytes/],
    ["Latin-1", () => written("a.yaml", Uint8Array.of(0x63, 0xe9)), /is not text in UTF-8/],
    ["a folder", () => folder, /is a folder/],
    ["a device that never ends", () => "/dev/zero", /is not a file but a device/],
    ["a megabyte and more", () => written("a.yaml", "#".repeat(2 ** 20 + 1)), /is larger than 512K/],
    ["a name nearly right", () => `${written("lap.yaml", "")}l`, /does not exist, but .*lap\.yaml does/],
  ])("%s is refused in one sentence", async (_what, file, sentence) => {
    const { status, out, err } = await hetmem("boot", "--machine", file());
    expect({ status, out }).toEqual({ status: 1, out: "" });
    expect(err).toMatch(/^hetmem: [\x20-\x7e]+\n$/);
    expect(err).toMatch(sentence);
  });

  test("a pipe that nobody writes to isn't waited for", async () => {
    const pipe = join(folder, "pipe");
    if (spawnSync("mkfifo", [pipe]).status !== 0) return;
    expect((await hetmem("boot", "--machine", pipe)).err).toMatch(/is a pipe that nobody writes to/);
  });
});

test("a transcript's control characters are printed as escapes, in its commands and where its answers differ", async () => {
  const machine = written("m.yaml", `nodes: [${NODE}]\n`);
  const transcript = written("t.txt", "$ echo a # \x1b[31m\nb\x1b[32m\n");
  const { status, out, err } = await hetmem("sh", "--machine", machine, "--replay", transcript);
  expect(status).toBe(1);
  expect(out).toBe("$ echo a # \\x1b[31m\na\n");
  expect(err).toContain("-b\\x1b[32m\n+a\n");
  expect(err).not.toContain("\x1b");
});

test("an export to an empty name is refused: / isn't meant", async () => {
  const machine = written("m.yaml", `nodes: [${NODE}]\n`);
  expect(await hetmem("export", "", "--machine", machine)).toEqual({
    status: 1,
    out: "",
    err: "hetmem: an empty name is no folder: name a new one to export to\n",
  });
});

describe("text from outside on a terminal", () => {
  test("names of files, commands and options come out plain", async () => {
    for (const args of [
      ["boot", "--machine", "\u001b]0;x\u0007"],
      ["\u001b[2J"],
      ["--\u001b[2J"],
      ["boot", "--from", "\u009b1m"],
    ])
      expect((await hetmem(...args)).err, JSON.stringify(args)).toMatch(/^[\x20-\x7e\n]+$/);
  });
});

describe("what no command expects", () => {
  const said = (error: unknown): { status: number; err: string } => {
    let err = "";
    const status = failWith(error, { writeError: (text) => void (err += text) });
    return { status, err };
  };

  test("an error of our own is one sentence that says what to report, and status 70", () => {
    const { status, err } = said(new TypeError("x is undefined\n    at y"));
    expect(status).toBe(70);
    expect(err).toMatch(
      /^hetmem: this is a fault of hetmem: please report "TypeError: x is undefined" in [^\n]+\n$/,
    );
    expect(said(new KernelBug("a page is on two lists")).err).toMatch(
      /a rule of the kernel is broken: a page is on two lists/,
    );
  });

  test("memory that the host doesn't give is the host's, and can be mended", () => {
    expect(said(new RangeError("Array buffer allocation failed"))).toEqual({
      status: 1,
      err: expect.stringMatching(/no more memory: .*ulimit -v/),
    });
  });
});
