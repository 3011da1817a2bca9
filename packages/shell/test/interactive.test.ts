// The shell at a terminal: prompts, lines that go on, completion.
import { PassThrough, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { complete } from "../src/index.ts";
import { interact } from "../src/node/index.ts";
import { testShell, type TestShell } from "./test-shell.ts";

async function type({ shell }: TestShell, text: string): Promise<{ screen: string; status: number }> {
  const input = new PassThrough();
  let screen = "";
  const output = new Writable({
    write(chunk: Buffer, _, done) {
      screen += chunk.toString();
      done();
    },
  });
  const finished = interact(shell, { input, output, error: output, terminal: false });
  input.end(text);
  return { status: await finished, screen };
}

describe("typing", () => {
  test("lines are answered one after the other and keep the shell's state", async () => {
    expect(await type(testShell(), "x=5\necho $x\nfalse\n")).toEqual({ screen: "5\n", status: 1 });
  });

  test("a command goes on until it is finished", async () => {
    expect((await type(testShell(), "for i in 1 2\ndo echo $i\ndone\n")).screen).toBe("1\n2\n");
  });

  test("exit leaves with its status and nothing after it runs", async () => {
    expect(await type(testShell(), "exit 4\necho never\n")).toEqual({ screen: "", status: 4 });
  });

  test("a syntax error is told and the shell lives on", async () => {
    expect((await type(testShell(), "fi\necho on\n")).screen).toBe('sh: syntax error: unexpected "fi"\non\n');
  });
});

describe("completion", () => {
  const { shell } = testShell();

  test("the first word of a command is a program", () => {
    expect(complete(shell, "lsm")).toEqual([["lsmem "], "lsm"]);
    expect(complete(shell, "ls | gr")).toEqual([["grep "], "gr"]);
    expect(complete(shell, "if tru")).toEqual([["true "], "tru"]);
  });

  test("other words are paths, and directories go on", () => {
    expect(complete(shell, "cat /sys/dev")).toEqual([["/sys/devices/"], "/sys/dev"]);
    expect(complete(shell, "echo 1 > /sys/devices/system/memory/p")).toEqual([
      ["/sys/devices/system/memory/probe "],
      "/sys/devices/system/memory/p",
    ]);
    expect(complete(shell, "ls /sys/devices/system/memory/memory8/n")[0]).toEqual([
      "/sys/devices/system/memory/memory8/node1/",
    ]);
    expect(complete(shell, "cat /nosuch/x")[0]).toEqual([]);
  });
});
