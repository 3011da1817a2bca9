import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { create as createTar } from "tar";
import { KernelBug, KernelError } from "@hetmem/kernel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failWith } from "../src/commands/failure.ts";
import { BUNDLED_CAPTURES } from "../src/host/bundled.ts";
import { openTree } from "../src/host/tree.ts";
import { nearestName } from "../src/report/nearest-name.ts";
import { plainJson, plainText } from "../src/report/plain-text.ts";
import { machineOfYaml } from "../src/spec/yaml.ts";
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

describe("YAML", () => {
  test.each([
    ["an alias of nothing", "nodes: *absent\n", /its aliases \(\*NAME\) can't be followed/],
    [
      "aliases that unfold to billions",
      `a0: &a0 [x, x, x, x, x, x, x, x, x]\n${Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}]\n`).join("")}nodes: *a9\n`,
      /its aliases \(\*NAME\) can't be followed/,
    ],
    ["groups in one another", `nodes: ${"[".repeat(20_000)}`, /more than 32 groups stand in one another/],
    ["a key twice", "nodes: []\nnodes: []\n", /m\.yaml:2: not YAML/],
    ["a second machine", `nodes: [${NODE}]\n---\nnodes: []\n`, /m\.yaml:2: a second machine begins here/],
    [
      "more words than a machine has",
      `nodes: [${"x,".repeat(100_000)}]\n`,
      /more than 100000 words and marks are too many/,
    ],
    [
      "names that the library would compare each with each",
      `sysctl: {${Array.from({ length: 1001 }, (_, at) => `n${at}: 1`).join()}}\n`,
      /1001 names in one group are too many: write at most 1000/,
    ],
    [
      "thirty wrong nodes",
      `nodes: [${"1,".repeat(30)}]\n`,
      /nodes\[19\].*\nand 10 more of the kind: mend these first$/,
    ],
    [
      "a word in the place of a profile, of many lines",
      `nodes: [${NODE}]\nprofile: |\n${"  v6\n".repeat(30)}`,
      /m\.yaml:2: profile: "(v6\\n){20}…" is not known; write v4\.14, v5\.1 or v6\.1$/,
    ],
    ["a name with control characters", `name: "a\\e[31m"\nnodes: [${NODE}]\n`, /is not a text of one line/],
    [
      "a line end in a name",
      `nodes: [${NODE}]\ndevices: [{ name: "a\\n0-1 : b", start: 4G, size: 1G }]\n`,
      /is not a text of one line/,
    ],
    ["a size past 2^53", "nodes: [{ memory: 9007199254740993, cpus: 0 }]\n", /is not a size/],
    ["a CPU past what x86 has", "nodes: [{ memory: 1G, cpus: 8192 }]\n", /there can be no CPU 8192/],
    [
      "thousands of devices",
      `nodes: [${NODE}]\ndevices: [${"{ name: x, start: 8G, size: 1G }, ".repeat(2000)}]\n`,
      /2000 devices are too many/,
    ],
    [
      "more nodes than the kernel has",
      `nodes: [${`${NODE}, `.repeat(1025)}]\n`,
      /1025 nodes are too many; write at most 1024/,
    ],
    [
      "modules without end",
      `nodes: [${NODE}]\ndevices: [{ name: Persistent Memory, start: 4G, size: 1G, modules: 4294967296 }]\n`,
      /interleaved over 1, 2, 4, 8 or 16 modules/,
    ],
  ])("%s is refused in a sentence", (_what, text, sentence) => {
    expect(() => machineOfYaml(text, "m.yaml")).toThrow(KernelError);
    expect(() => machineOfYaml(text, "m.yaml")).toThrow(sentence);
  });
});

describe("a captured tree", () => {
  test("an archive that unfolds to more than a capture holds is refused before it is unfolded", () => {
    const bomb = written("bomb.tar.gz", gzipSync(Buffer.alloc(130 * 2 ** 20), { level: 1 }));
    expect(() => openTree(bomb)).toThrow(/^EFBIG: .*bomb\.tar\.gz holds more than 128M when it is unpacked/);
  });

  test("a link out of it, and a device in it, are no files of the host", () => {
    mkdirSync(join(folder, "tree/proc"), { recursive: true });
    written("secret", "of another host\n");
    symlinkSync("../../secret", join(folder, "tree/proc/version"));
    symlinkSync("/dev/zero", join(folder, "tree/proc/iomem"));
    symlinkSync("loop", join(folder, "tree/proc/loop"));
    const tree = openTree(join(folder, "tree"));
    for (const name of ["version", "iomem", "loop"]) expect(tree.read(`/proc/${name}`), name).toBeUndefined();
  });

  test("paths of an archive that lead out of it name nothing on the host", () => {
    mkdirSync(join(folder, "tree/proc"), { recursive: true });
    written("tree/proc/zoneinfo", "Node 0\n");
    const file = join(folder, "odd.tar");
    createTar({ file, cwd: join(folder, "tree"), sync: true, prefix: "../..", preservePaths: true }, [
      "proc",
    ]);
    expect(openTree(file).read("/etc/hostname")).toBeUndefined();
  });
});

describe("text from outside on a terminal", () => {
  test("each control character is written out, line ends and tabs aside", () => {
    expect(plainText("a\u001b[31m\u0007\u009b\u202e\ud800\tb\n")).toBe(
      "a\\x1b[31m\\x07\\x9b\\u202e\\ud800\tb\n",
    );
    expect(JSON.parse(plainJson({ name: "\u009b\u202e" }))).toEqual({ name: "\u009b\u202e" });
    expect(plainJson({ name: "\u009b\u202e" })).toMatch(/^[\x20-\x7e\n]*$/);
  });

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

test("the nearest name is one of which a third is wrong at most", () => {
  const names = ["boot", "sh", "export", "plan", "explain"];
  expect(["bot", "plna", "exprot", "xplain", "hs"].map((typed) => nearestName(typed, names))).toEqual([
    "boot",
    "plan",
    "export",
    "explain",
    "sh",
  ]);
  expect(nearestName("reconfigure", names)).toBeUndefined();
});
