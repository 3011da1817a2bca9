import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BUNDLED_CAPTURES } from "@hetmem/host-capture/node";
import type { Comparison } from "@hetmem/report";
import { hetmem, hetmemWithInput } from "./hetmem-program.ts";

const CAPTURE = BUNDLED_CAPTURES["hidden-ram"];

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "hetmem-cli-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("hetmem boot", () => {
  test("shows zones, map, price, comparison and what to type next", async () => {
    const { status, out } = await hetmem("boot", "--from", CAPTURE);
    expect(status).toBe(0);
    for (const title of [
      "Nodes and zones",
      "Physical memory, to scale",
      "The price of struct pages",
      "Compared with the host",
      "Next",
    ])
      expect(out).toContain(`\n${title}`);
    expect(out).toMatch(/DMA32 +0x4000_0000 +0x7ffd_dfff +262110 +262110 +241116 +\d+ +1 GiB/);
    expect(out).toContain("echo 0x100000000 > /sys/devices/system/memory/probe");
    expect(out).not.toContain("\u001b");
  });

  test("is what hetmem does when it is not told what to do", async () => {
    const [named, unnamed] = [await hetmem("boot", "--from", CAPTURE), await hetmem("--from", CAPTURE)];
    expect(unnamed).toEqual(named);
  });

  test("the totals of a captured host are the machine's", async () => {
    for (const from of Object.values(BUNDLED_CAPTURES)) {
      const { comparison } = JSON.parse((await hetmem("--from", from, "--json")).out);
      const equal = comparison
        .filter((pair: Comparison) => pair.machine === pair.host)
        .map((pair: Comparison) => pair.name);
      expect(equal, from).toEqual(expect.arrayContaining(["spanned", "present", "managed", "MemTotal"]));
      for (const pair of comparison) expect(pair.why === "", pair.name).toBe(pair.machine === pair.host);
    }
  });

  test("every bundled machine boots with the memory that its file gives it", async () => {
    const machines = new URL("../fixtures/machines/", import.meta.url).pathname;
    for (const [file, pages] of [
      ["laptop", 2 ** 21],
      ["server-1t-cxl", 2 ** 28],
      ["ram-ends-at-4g", 2 ** 20],
    ] as const) {
      const { machine } = JSON.parse((await hetmem("--machine", `${machines}${file}.yaml`, "--json")).out);
      const present = machine.zones.reduce((sum: number, zone: { present: number }) => sum + zone.present, 0);
      expect(pages - present, file).toBe(98);
    }
  });

  test("--json has the same numbers for programs", async () => {
    const { out } = await hetmem("--from", CAPTURE, "--json", "--profile", "v6.1");
    const report = JSON.parse(out);
    expect(report.machine).toMatchObject({ profile: "v6.1", blockSize: 128 * 2 ** 20, memTotalKb: 1977700 });
    expect(report.machine.zones[2]).toMatchObject({ node: 1, name: "DMA32", present: 262110 });
    expect(report.comparison).toContainEqual({
      name: "present",
      unit: "pages",
      machine: 524156,
      host: 524156,
      why: "",
    });
  });

  test("a host whose addresses are hidden is replaced by the bundled capture, and that is said", async () => {
    const zeros = join(folder, "zeros");
    mkdirSync(join(zeros, "proc"), { recursive: true });
    writeFileSync(join(zeros, "proc/iomem"), "00000000-00000000 : System RAM\n");
    const { status, out } = await hetmem("--from", zeros);
    expect(status).toBe(0);
    expect(out).toContain("shows every address as zero to readers without privilege");
    expect(out).toContain("bundled capture hidden-ram");
  });
});

describe("hetmem sh", () => {
  const block9 = "/sys/devices/system/memory/memory9";

  test("runs a script with its arguments, what is piped into it, and a line, and ends with their status", async () => {
    const script = join(folder, "look.sh");
    writeFileSync(script, "cat /sys/devices/system/memory/memory$1/state\nexit 3\n");
    expect(await hetmem("sh", "--from", CAPTURE, script, "9")).toEqual({
      status: 3,
      out: "online\n",
      err: "",
    });
    expect(await hetmemWithInput(`cat ${block9}/state\n`, "sh", "--from", CAPTURE)).toEqual({
      status: 0,
      out: "online\n",
      err: "",
    });
    expect(await hetmem("sh", "--from", CAPTURE, "-c", "false")).toEqual({ status: 1, out: "", err: "" });
  });

  test("--replay gives status 1 and a diff exactly when an answer differs", async () => {
    const right = `$ cat ${block9}/state\nonline\n$ cat /sys/nothing\ncat: can't open '/sys/nothing': No such file or directory\n[exit 1]\n`;
    const transcript = join(folder, "transcript.txt");
    writeFileSync(transcript, right);
    expect(await hetmem("sh", "--from", CAPTURE, "--replay", transcript)).toEqual({
      status: 0,
      out: right,
      err: "",
    });
    writeFileSync(transcript, right.replace("\nonline", "\noffline"));
    const { status, out, err } = await hetmem("sh", "--from", CAPTURE, "--replay", transcript);
    expect({ status, out }).toEqual({ status: 1, out: right });
    expect(err).toContain("-offline\n+online\n");
    expect(err).toContain("1 of transcript.txt's commands answer otherwise here");
  });
});

describe("hetmem sh --explain", () => {
  const machine = fileURLToPath(new URL("../fixtures/machines/ram-ends-at-4g.yaml", import.meta.url));
  const session = fileURLToPath(new URL("../fixtures/transcripts/processes/readme.txt", import.meta.url));
  const command = ["sh", "--machine", machine, "--profile", "v6.1", "--replay", session];

  test("says why a write is refused, so that a session recorded at a terminal replays", async () => {
    expect(await hetmem(...command, "--explain")).toMatchObject({ status: 0, err: "" });
  });

  test("without it the kernel keeps that to itself", async () => {
    const { status, err } = await hetmem(...command);
    expect(status).toBe(1);
    expect(err).toMatch(/^-    memory32 cannot go offline: .* pinned by process \d+ \(qemu\)$/m);
  });
});

describe("hetmem export", () => {
  test("writes files, links and directories with the machine's permissions", async () => {
    const target = join(folder, "tree");
    const { status, out } = await hetmem("export", "--from", CAPTURE, target);
    expect(status).toBe(0);
    expect(out).toContain(`lsmem --sysroot ${target}`);
    expect(readFileSync(join(target, "sys/devices/system/memory/memory9/state"), "utf8")).toBe("online\n");
    expect(readlinkSync(join(target, "sys/devices/system/memory/memory9/node1"))).toBe("../../node/node1");
    expect(statSync(join(target, "sys/devices/system/memory/memory9/node1/cpulist")).mode & 0o777).toBe(
      0o444,
    );
    expect(statSync(join(target, "sys/devices/system/memory")).isDirectory()).toBe(true);
  });

  test("never mixes its files with others", async () => {
    writeFileSync(join(folder, "mine"), "");
    expect(await hetmem("export", "--from", CAPTURE, folder)).toMatchObject({
      status: 1,
      out: "",
      err: expect.stringMatching(/^hetmem: .* is not empty.*name a new folder/),
    });
    expect(await hetmem("export", "--from", CAPTURE, join(folder, "mine"))).toMatchObject({
      status: 1,
      err: expect.stringContaining("is a file"),
    });
  });

  test("a folder where none can be made is refused, not waited for", async () => {
    writeFileSync(join(folder, "mine"), "");
    const { status, err } = await hetmem("export", "--from", CAPTURE, join(folder, "mine", "below"));
    expect({ status, err }).toEqual({
      status: 1,
      err: expect.stringMatching(/^hetmem: [^\n]*below'?[^\n]*\n$/),
    });
    expect(await hetmem("export", "--from", CAPTURE, join(folder, "new", "below"))).toMatchObject({
      status: 0,
    });
  });

  const lsmem = spawnSync("lsmem", ["--version"]).status === 0;
  test.skipIf(!lsmem)(
    `lsmem reads it${lsmem ? "" : " (skipped: lsmem of util-linux is not installed)"}`,
    async () => {
      const target = join(folder, "tree");
      await hetmem("export", "--from", CAPTURE, target);
      const { stdout } = spawnSync(
        "lsmem",
        ["--sysroot", target, "--bytes", "--json", "--output", "RANGE,SIZE,STATE,BLOCK"],
        { encoding: "utf8" },
      );
      expect(JSON.parse(stdout).memory).toEqual([
        { range: "0x0000000000000000-0x000000007fffffff", size: 2 ** 31, state: "online", block: "0-15" },
      ]);
    },
  );

  const lstopo = spawnSync("lstopo-no-graphics", ["--version"]).status === 0;
  test.skipIf(!lstopo)(
    `lstopo sees each node with its memory and CPU${lstopo ? "" : " (skipped: lstopo of hwloc is not installed)"}`,
    async () => {
      const target = join(folder, "tree");
      await hetmem("export", "--from", CAPTURE, target);
      const { stdout } = spawnSync("lstopo-no-graphics", ["--of", "console"], {
        encoding: "utf8",
        env: { ...process.env, HWLOC_FSROOT: target, HWLOC_COMPONENTS: "-x86" },
      });
      expect(stdout.replace(/^ +/gm, "").split("\n").filter(Boolean)).toEqual([
        "Machine (1931MB total)",
        "Package L#0",
        "NUMANode L#0 (P#0 989MB)",
        "Core L#0 + PU L#0 (P#0)",
        "Package L#1",
        "NUMANode L#1 (P#1 942MB)",
        "Core L#1 + PU L#1 (P#1)",
      ]);
    },
  );
});

describe("hetmem called wrongly", () => {
  test.each([
    [["--frm", "x"], /unknown option '--frm'/],
    [["bot"], /there is no command "bot" \(did you mean boot\?\): the commands are boot/],
    [["boot", "--profile", "v3"], /Allowed choices are v4\.14, v5\.1, v6\.1/],
    [["boot", "--from", "a", "--machine", "b"], /cannot be used with/],
    [["export"], /missing required argument 'dir'/],
    [["sh", "-c", "true", "--replay", "x"], /cannot be used with/],
  ])("%j is a matter of usage, with status 2", async (args, expected) => {
    expect(await hetmem(...args)).toMatchObject({ status: 2, out: "", err: expect.stringMatching(expected) });
  });

  test("what can't be read is one sentence with the file, and status 1", async () => {
    const cut = join(folder, "cut.tar.gz");
    writeFileSync(cut, readFileSync(CAPTURE).subarray(0, 9_000));
    const bad = join(folder, "bad.yaml");
    writeFileSync(bad, "nodes:\n  - { memory: 4X, cpus: 0 }\n");
    for (const args of [
      ["--from", cut],
      ["--from", join(folder, "absent")],
      ["--machine", bad],
      ["--machine", join(folder, "absent.yaml")],
    ]) {
      const { status, out, err } = await hetmem("boot", ...args);
      expect({ status, out }, args.join(" ")).toEqual({ status: 1, out: "" });
      expect(err).toMatch(/^hetmem: [^\n]+\n$/);
      expect(err).toContain(args[1]);
      expect(err).not.toMatch(/\bat .*\.ts|E[A-Z]+:/);
    }
  });

  test("--help and --version are no errors", async () => {
    expect(await hetmem("--help")).toMatchObject({ status: 0, err: "" });
    expect(await hetmem("--version")).toMatchObject({ status: 0, out: "1.2.3\n" });
  });
});
