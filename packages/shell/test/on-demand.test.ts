// Programs that load their code when they are first run.
import { createKernel, KernelBug, run, type Sleeps } from "@hetmem/kernel";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { type Program, PROGRAMS, Shell } from "../src/index.ts";
import { drive, onDemand } from "../src/on-demand/index.ts";

const greet: Program = function* (io, args) {
  io.out(`hello ${args.join(" ")}\n`);
  yield* io.turn();
  return 3;
};

/** A shell with a program that comes when `load` says. */
function shellWith(load: () => Promise<Program>): Shell {
  const vfs = new Vfs();
  vfs.mkdir("/tmp");
  const programs = { ...PROGRAMS, greet: { summary: "greets", run: onDemand(load) } };
  return new Shell({ vfs, kernel: createKernel(), spec: { release: "6.1.0" } }, programs);
}

test("is loaded when it is first run, once, and answers as any program does", async () => {
  let loads = 0;
  const shell = shellWith(async () => {
    loads++;
    return greet;
  });
  expect((await drive(shell.execute("echo before"))).output).toBe("before\n");
  expect(loads).toBe(0);
  const { output, status } = await drive(shell.execute("greet a b"));
  expect({ output, status }).toEqual({ output: "hello a b\n", status: 3 });
  await drive(shell.execute("greet again"));
  expect(loads).toBe(1);
});

test.each([
  ["in a pipeline", "greet x | cat -; greet y | wc -l", "hello x\n1\n"],
  ["in a substitution", 'echo "[$(greet x)]"', "[hello x]\n"],
  ["by a name that is computed", "p=gre; ${p}et x", "hello x\n"],
  ["in text that is evaluated", "eval 'greet x'", "hello x\n"],
  ["in a file of commands", "echo greet x > /tmp/f; . /tmp/f", "hello x\n"],
])("comes wherever a shell finds it: %s", async (_where, line, expected) => {
  expect((await drive(shellWith(async () => greet).execute(line))).output).toBe(expected);
});

test("code that can't be loaded is the program's failure, and is asked for again", async () => {
  let online = false;
  const shell = shellWith(() => (online ? Promise.resolve(greet) : Promise.reject(new Error("no network"))));
  const { output, status } = await drive(shell.execute("greet x; echo $?"));
  expect({ output, status }).toEqual({
    output: "greet: its code can't be loaded: no network\n126\n",
    status: 0,
  });
  online = true;
  expect((await drive(shell.execute("greet x"))).output).toBe("hello x\n");
});

test("run() doesn't wait for code: it says how to, and runs the program once it is there", async () => {
  const shell = shellWith(async () => greet);
  const early = (): unknown => run(shell.execute("greet x"));
  expect(early).toThrow(KernelBug);
  expect(early).toThrow(/waits for the code of greet, which is loaded on demand: await drive\(\)/);
  await drive(shell.execute("greet x"));
  expect(run(shell.execute("greet x")).output).toBe("hello x\n");
});

test("the host handles its events while a long line runs", async () => {
  const shell = shellWith(async () => greet);
  let events = 0;
  const timer = setInterval(() => {
    events++;
    shell.interrupt();
  });
  const { status } = await drive(shell.execute("while true; do true; done"));
  clearInterval(timer);
  expect(status).toBe(130);
  expect(events).toBeGreaterThan(0);
});

test("a task that waits for what never comes is a bug, as it is for run()", async () => {
  function* waits(): Sleeps<void> {
    yield { why: "Godot", ready: () => false };
  }
  await expect(drive(waits())).rejects.toThrow("nobody is left to wake the task that waits for Godot");
});
