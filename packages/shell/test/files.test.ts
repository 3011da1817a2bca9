// The shell on /sys: stores, what fails and how it is said, and the processes that a machine hears of.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import type { ProgramContext, RunningProcess } from "../src/index.ts";
import { testShell } from "./test-shell.ts";

const MEMORY = "/sys/devices/system/memory";

describe("echo into a file of /sys", () => {
  test("one echo is one store, newline included", () => {
    const { sh, stored } = testShell();
    expect(sh(`echo offline > ${MEMORY}/memory1/state`)).toMatchObject({ output: "", status: 0 });
    sh(`echo -n online_movable > ${MEMORY}/memory1/state`);
    sh(`echo $((0x100000000+2*(128<<20))) > ${MEMORY}/probe`);
    expect(stored).toEqual(["1:offline\n", "1:online_movable", "probe:4563402752\n"]);
  });

  test("a store that fails is a write error of the shell with status 1, and the next command runs", () => {
    const { sh } = testShell();
    expect(sh(`echo nonsense > ${MEMORY}/memory1/state; echo $?`).output).toBe(
      "sh: write error: Invalid argument\n1\n",
    );
    expect(sh(`echo offline > ${MEMORY}/memory8/state`)).toMatchObject({
      output: "sh: write error: Device or resource busy\n",
      status: 1,
    });
  });

  test("a loop over blocks prints as the captured one did", () => {
    const { sh } = testShell();
    const line = `for i in 0 8; do echo offline > ${MEMORY}/memory$i/state; echo $i $(cat ${MEMORY}/memory$i/state) ; done`;
    expect(sh(line)).toMatchObject({
      output: "0 offline\nsh: write error: Device or resource busy\n8 online\n",
      status: 0,
    });
  });

  test("the failed write of a program is its own error", () => {
    const { sh } = testShell();
    expect(sh(`echo x > /tmp/f; cat /tmp/f > ${MEMORY}/memory1/state`).output).toBe(
      "cat: write error: Invalid argument\n",
    );
    expect(sh(`echo offline | tee ${MEMORY}/memory8/state`).output).toBe(
      `tee: ${MEMORY}/memory8/state: Device or resource busy\noffline\n`,
    );
  });

  test("each command of a group stores for itself", () => {
    const { sh, stored } = testShell();
    sh(`{ echo offline; echo online; } > ${MEMORY}/memory1/state`);
    expect(stored).toEqual(["1:offline\n", "1:online\n"]);
  });

  test("nothing is stored when nothing is written", () => {
    const { sh, stored } = testShell();
    sh(`> ${MEMORY}/memory1/state; true > ${MEMORY}/memory1/state; echo -n > ${MEMORY}/memory1/state`);
    expect(stored).toEqual([]);
  });

  test("an open that fails says which file and why", () => {
    const { sh } = testShell();
    expect(sh(`echo 1 > ${MEMORY}/block_size_bytes`)).toMatchObject({
      output: `sh: ${MEMORY}/block_size_bytes: Permission denied\n`,
      status: 1,
    });
    expect(sh(`echo 1 > ${MEMORY}/memory8/nosuch`).output).toBe(
      `sh: ${MEMORY}/memory8/nosuch: Permission denied\n`,
    );
    expect(sh(`echo 1 > ${MEMORY}/memory99/state`).output).toBe(
      `sh: can't create ${MEMORY}/memory99/state: nonexistent directory\n`,
    );
    expect(sh(`cat < ${MEMORY}/nosuch`).output).toBe(`sh: can't open ${MEMORY}/nosuch: no such file\n`);
    expect(sh(`echo 1 > ${MEMORY}`).output).toBe(`sh: ${MEMORY}: Is a directory\n`);
    expect(sh(`echo 1 2>/dev/null > ${MEMORY}/nosuch`)).toMatchObject({ output: "", status: 1 });
  });
});

describe("files of /tmp", () => {
  test("the captured lines with dd and md5sum work", () => {
    const { sh } = testShell();
    const made =
      "mkdir -p /tmp/f; dd if=/dev/urandom of=/tmp/f/a bs=1M count=2 2>/dev/null; md5sum /tmp/f/a > /tmp/f/sum";
    expect(sh(made)).toMatchObject({ output: "", status: 0 });
    expect(sh("wc -c /tmp/f/a").output).toBe("2097152 /tmp/f/a\n");
    expect(sh("md5sum -c /tmp/f/sum").output).toBe("/tmp/f/a: OK\n");
    sh("echo x >> /tmp/f/a");
    expect(sh("md5sum -c /tmp/f/sum")).toMatchObject({ stdout: "/tmp/f/a: FAILED\n", status: 1 });
  });
});

describe("processes", () => {
  test("a program is a process and what the shell does itself is none", () => {
    const { events, sh } = watched();
    sh.sh("echo a; x=$((1+1)); test -e /tmp; ls /tmp > /dev/null");
    expect(events).toEqual(["+ls", "-ls"]);
  });

  test("subshells and stages of a pipe are processes, and a program there is one, not two", () => {
    const { events, sh } = watched();
    sh.sh("(cd /tmp); echo a | cat; x=$(uname -r)");
    expect(events).toEqual(["+sh", "-sh", "+sh", "-sh", "+cat", "-cat", "+uname", "-uname"]);
  });

  test("a process ends also when its write fails", () => {
    const { events, sh } = watched();
    sh.sh(`uname > ${MEMORY}/memory1/state`);
    expect(events).toEqual(["+uname", "-uname"]);
  });

  test("a machine without memory for a process says so and nothing runs", () => {
    const processes = {
      *fork(): Sleeps<never> {
        throw new KernelError("ENOMEM", "no stack for a process");
      },
    };
    const { sh, stored } = testShell({ processes });
    expect(sh(`cat ${MEMORY}/block_size_bytes; echo x > ${MEMORY}/probe`)).toMatchObject({
      output: "sh: can't fork: Cannot allocate memory\n",
      status: 2,
    });
    expect(stored).toEqual([]);
  });
});

test("a program that a package adds runs like any other", () => {
  const hello = {
    summary: "greets",
    *run(io: { out(text: string): void }, args: readonly string[]) {
      io.out(`hello ${args.join(",")}\n`);
      return 7;
    },
  };
  const { sh } = testShell({ programs: { hello } });
  expect(sh("hello a b | cat; hello > /tmp/h; echo $?; cat /tmp/h").output).toBe("hello a,b\n7\nhello \n");
  expect(sh("help").output).toMatch(/^hello +greets$/m);
});

/** A shell with a program that is sent SIGTERM when it calls `sent`. */
function shellWithVictim(body: (io: ProgramContext, sent: () => void) => Sleeps<number>) {
  let signal: number | undefined;
  const processes = {
    *fork(name: string): Sleeps<RunningProcess> {
      const alive = name !== "die";
      return {
        get deadlySignal() {
          return alive ? undefined : signal;
        },
        *exit() {},
      };
    },
  };
  const run = (io: ProgramContext): Sleeps<number> => body(io, () => (signal = 15));
  return testShell({ processes, programs: { die: { summary: "is sent SIGTERM", run } } });
}

test("who got a deadly signal prints nothing more, and its shell says how it ended", () => {
  const { sh } = shellWithVictim(function* (io, sent) {
    io.out("before\n");
    sent();
    io.out("after\n");
    io.err("after\n");
    return 0;
  });
  expect(sh("die; echo $?")).toMatchObject({ stdout: "before\n143\n", stderr: "Terminated\n" });
});

test("the error of a program that got a deadly signal is not printed", () => {
  const { sh } = shellWithVictim(function* (_io, sent) {
    sent();
    throw new KernelError("EIO", "the disk is gone");
  });
  expect(sh("die; echo $?")).toMatchObject({ stdout: "143\n", stderr: "Terminated\n" });
});

test("a program that got a deadly signal ends at its next turn", () => {
  let turns = 0;
  const { sh } = shellWithVictim(function* (io, sent) {
    sent();
    for (; turns < 3; turns++) yield* io.turn();
    return 0;
  });
  expect(sh("die; echo $?").stdout).toBe("143\n");
  expect(turns).toBe(0);
});

test("an argument of 128 KiB, or 2 MiB of arguments, is E2BIG, and less is not", () => {
  const count = {
    summary: "counts its arguments",
    *run(io: { out(text: string): void }, args: readonly string[]) {
      io.out(`${args.length}\n`);
      return 0;
    },
  };
  const { sh } = testShell({ programs: { count } });
  const [longest, tooLong] = ["a".repeat(131_071), "a".repeat(131_072)];
  expect(sh(`count ${longest}`).output).toBe("1\n");
  expect(sh(`count ${tooLong}; echo $?`).output).toBe("sh: count: Argument list too long\n126\n");
  expect(sh(`a=${longest}; count ${"$a ".repeat(15)}`).output).toBe("15\n");
  expect(sh(`a=${longest}; count ${"$a ".repeat(16)}; echo $?`).output).toBe(
    "sh: count: Argument list too long\n126\n",
  );
});

function watched(): { events: string[]; sh: ReturnType<typeof testShell> } {
  const events: string[] = [];
  const processes = {
    *fork(name: string): Sleeps<RunningProcess> {
      events.push(`+${name}`);
      return {
        deadlySignal: undefined,
        *exit() {
          events.push(`-${name}`);
        },
      };
    },
  };
  return { events, sh: testShell({ processes }) };
}
