// The shell's programs that use the process port: kill, ulimit and numactl on a port that records its calls, and
// without one.
import { KernelError } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import { NO_PROCESSES, type ProcessPort, type ResourceLimit, type ResourceName } from "../src/index.ts";
import { testShell } from "./test-shell.ts";

function recording(): { readonly calls: unknown[]; readonly processes: ProcessPort } {
  const calls: unknown[] = [];
  const limits = new Map<ResourceName, ResourceLimit>();
  const processes: ProcessPort = {
    ...NO_PROCESSES,
    *kill(pid, signal) {
      if (pid > 2) throw new KernelError("ESRCH", `no process ${pid}`);
      calls.push(["kill", pid, signal]);
    },
    setMempolicy: (policy) => void calls.push(policy),
    rlimits: {
      honoured: new Set(["memlock", "stack"]),
      get: (name) => limits.get(name) ?? { soft: 4096, hard: Number.POSITIVE_INFINITY },
      set(name, limit) {
        if (limit.soft > limit.hard) throw new KernelError("EINVAL", "the soft limit is above the hard one");
        limits.set(name, limit);
      },
    },
  };
  return { calls, processes };
}

test("kill sends signals by name and number, and tells which pid isn't there", () => {
  const { calls, processes } = recording();
  const { sh } = testShell({ processes });
  expect(sh("kill -KILL 1 2; kill -0 3; echo $?")).toMatchObject({
    stdout: "1\n",
    stderr: "sh: can't kill pid 3: No such process\n",
  });
  expect(calls).toEqual([
    ["kill", 1, 9],
    ["kill", 2, 9],
  ]);
});

test("numactl gives the policy to the program that runs, and runs another in its place", () => {
  const { calls, processes } = recording();
  const { sh } = testShell({ processes });
  expect(sh("numactl --interleave=all uname -r; numactl -l echo local").stdout).toBe(
    "6.1.192-oracle\nlocal\n",
  );
  expect(calls).toEqual([{ mode: "interleave", nodes: [0, 1] }, { mode: "local" }]);
});

test("ulimit shows and sets limits in its own units, and refuses those that nothing goes by", () => {
  const { sh } = testShell({ processes: recording().processes });
  expect(sh("ulimit -l; ulimit -Hl; ulimit -S -l 8; ulimit -l").stdout).toBe("4\nunlimited\n8\n");
  expect(sh("ulimit -H -l 1").stderr).toBe("sh: error setting limit: Invalid argument\n");
  expect(sh("ulimit -n 5").stderr).toMatch(
    /nothing on this machine goes by it; those that hold are -l, -s$/m,
  );
});

describe("on a bare file tree there are no processes", () => {
  test.each([
    ["kill 1", "sh: this machine has no processes\n"],
    ["numactl -m 0 uname", "numactl: this machine has no processes\n"],
    ["ulimit", "sh: ulimit: this machine has no processes\n"],
  ])("%s", (line, stderr) => {
    expect(testShell().sh(line)).toMatchObject({ stdout: "", stderr, status: 1 });
  });
});
