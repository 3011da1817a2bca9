// Deadly signals and the shell: who gets one goes no further, and the shell that waited for it says how it ended.
import { run } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

function boot() {
  const text = "nodes:\n  - memory: 256M\n    cpus: 0-1\n";
  const shell = new Shell(createMachine(machineOfYaml(text, "kills.yaml", "v6.1")), PROGRAMS);
  const sh = (line: string) => run(shell.execute(line));
  sh("cd /sys/fs/cgroup; echo +memory > cgroup.subtree_control; mkdir job");
  return sh;
}

describe("a subshell", () => {
  test("that writes to its own cgroup.kill ends there, and is in no cgroup any more", () => {
    const sh = boot();
    const line =
      "(echo 0 > job/cgroup.procs; echo 1 > job/cgroup.kill; echo on); echo $?; cat job/cgroup.procs";
    expect(sh(line)).toMatchObject({ stdout: "137\n", stderr: "Killed\n" });
  });

  test("dies with its group, and the program that it waits for prints nothing more", () => {
    const sh = boot();
    sh("echo 8M > job/memory.max; echo 1 > job/memory.oom.group");
    const line =
      "(echo 0 > job/cgroup.procs; dd if=/dev/zero of=/tmp/shm bs=1M count=20; echo on); echo $?; cat job/cgroup.procs";
    expect(sh(line)).toMatchObject({ stdout: "137\n", stderr: "Killed\n" });
  });

  test("that gets SIGTERM ends with 143", () => {
    expect(boot()("(kill $(pidof sh); echo on); echo $?")).toMatchObject({
      stdout: "143\n",
      stderr: "Terminated\n",
    });
  });
});

test("the first process gets no signal that it doesn't handle", () => {
  expect(boot()("kill -9 $$; echo $?").output).toBe("0\n");
});

test("a process that is killed while its mapping is populated never sees the address", () => {
  const sh = boot();
  sh("echo 4M > job/memory.max");
  sh("(echo 0 > job/cgroup.procs; proc start hog)");
  const { stdout, stderr, status } = sh("proc mmap $(pidof hog) 16M --populate");
  expect({ stdout, status }).toEqual({ stdout: "", status: 137 });
  expect(stderr).toMatch(/^Killed\n/);
});
