// Resource limits as people set them: ulimit in a shell, prlimit from outside, /proc/PID/limits to read them.
import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

/** Runs a line on a machine of its own. @returns what it prints */
function boot(): (line: string) => string {
  const text = "nodes:\n  - memory: 256M\n    cpus: 0\n";
  const shell = new Shell(createMachine(machineOfYaml(text, "limits.yaml", "v6.1")), PROGRAMS);
  return (line) => run(shell.execute(line)).stdout;
}

test("what a shell starts begins with the shell's limits, and a subshell's are its own", () => {
  const sh = boot();
  const locked = (pid: string): string => sh(`grep locked /proc/${pid}/limits`).trimEnd();
  sh("(ulimit -l 64; proc start inner); proc start outer");
  expect(locked("$(pidof inner)")).toMatch(/^Max locked memory {9}65536 {16}65536 {16}bytes$/);
  expect(locked("$(pidof outer)")).toMatch(/^Max locked memory {9}8388608 {14}8388608 {14}bytes$/);
  expect(sh("ulimit -l")).toBe("8192\n");
});

test("-S and -H set one of the two limits, and a soft limit above the hard one is EINVAL", () => {
  const sh = boot();
  expect(sh("ulimit -S -s 100; ulimit -s; ulimit -H -s")).toBe("100\nunlimited\n");
  expect(sh("ulimit -H -s 10 2>&1; echo $?")).toBe("sh: error setting limit: Invalid argument\n1\n");
});

test("a limit that nothing goes by is refused, and shown all the same", () => {
  const sh = boot();
  expect(sh("ulimit -n")).toBe("1024\n");
  expect(sh("ulimit -n 4096 2>&1")).toContain("nothing on this machine goes by it");
  expect(sh("prlimit --nofile=4096 2>&1")).toContain("nothing on this machine goes by NOFILE");
});

test("prlimit shows a table of limits and changes those of a process that runs", () => {
  const sh = boot();
  sh("proc start app");
  expect(sh("prlimit --pid $(pidof app) --memlock=100: --verbose")).toBe(
    `New MEMLOCK limit for pid ${sh("pidof app").trim()}: <100:8388608>\n`,
  );
  expect(sh("prlimit --pid $(pidof app) --memlock --as")).toBe(
    "RESOURCE DESCRIPTION                             SOFT      HARD UNITS\n" +
      "MEMLOCK  max locked-in-memory address space       100   8388608 bytes\n" +
      "AS       address space limit                unlimited unlimited bytes\n",
  );
  expect(
    sh("prlimit --memlock=4096 cat /proc/self/limits | grep -c 'locked memory  .* 4096  .* 4096 '"),
  ).toBe("1\n");
  expect(sh("prlimit --memlock=5:3 2>&1; prlimit --pid 999 --as 2>&1; prlimit --memlock=x 2>&1")).toBe(
    "prlimit: the soft limit MEMLOCK cannot exceed the hard limit\n" +
      "prlimit: failed to get the AS resource limit: No such process\n" +
      "prlimit: failed to parse MEMLOCK limit\n",
  );
});

test("root locks more than RLIMIT_MEMLOCK, for CAP_IPC_LOCK is in its CapEff; RLIMIT_AS holds root, too", () => {
  const sh = boot();
  sh("ulimit -l 4; ulimit -v 65536; proc start es");
  expect(
    sh("P=$(pidof es); A=$(proc mmap $P 32M); proc mlock $P $A 32M; echo $?; grep VmLck /proc/$P/status"),
  ).toBe("0\nVmLck:\t   32768 kB\n");
  expect(sh("proc mmap $(pidof es) 40M 2>&1; echo $?")).toMatch(/Cannot allocate memory\n[^]*1\n$/);
});
