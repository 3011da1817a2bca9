// The programs that deal with processes: what they print, how they are called wrongly, and what they refuse.
import { run } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell, type ShellResult } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";
import { testShell } from "./shell-machine.ts";

const SPEC = machineOfYaml("nodes:\n  - { memory: { start: 0, end: 256M }, cpus: 0 }\n", "m.yaml", "v6.1");

/** A shell on a machine with a process `a` whose mapping of 64 KiB begins at 0x10000000. */
function withProcess(): { sh(line: string): ShellResult; pid: string } {
  const shell = new Shell(createMachine(SPEC), PROGRAMS);
  const sh = (line: string): ShellResult => run(shell.execute(line));
  const pid = sh("proc start a").stdout.trim();
  sh(`proc mmap ${pid} 64K --at 0x10000000`);
  return { sh, pid };
}

describe("proc", () => {
  test.each([
    ["", /^proc start NAME/, 0],
    ["fly 1", /^proc: there is no "fly": proc help lists what there is$/m, 1],
    ["touch 1", /^proc: usage: proc touch PID ADDR LENGTH \[--read\]$/m, 1],
    ["mmap 1 4K --colour red", /unrecognized option '--colour'/, 1],
    ["mmap PID 4Q", /"4Q" is not a size: write a number, then K, M or G/, 1],
    ["mmap PID 4K --prot rq", /"rq" are no permissions/, 1],
    ["touch PID ten 4K", /"ten" is not an address: write 0x…/, 1],
    ["touch ten 0x1000 4K", /"ten" is not a pid/, 1],
    ["exit 4711", /^proc: exit: No such process\n {4}no process 4711/, 1],
    ["munmap PID 0x10000001 4K", /^proc: munmap: Invalid argument\n {4}\S/, 1],
    ["mprotect PID 0x20000000 4K r", /^proc: mprotect: Cannot allocate memory\n/, 1],
    ["madvise PID 0x10000000 4K SLEEP", /^proc: madvise: Invalid argument\n {4}SLEEP is no advice/, 1],
    ["mbind PID 0x10000000 4K anywhere 0", /"anywhere" is no policy: write one of default, bind/, 1],
    ["mbind PID 0x10000000 4K bind 7", /^proc: mbind: Invalid argument\n/, 1],
  ])("%s", (args, text, status) => {
    const { sh, pid } = withProcess();
    const result = sh(`proc ${args.replace("PID", pid)}`);
    expect(result.output).toMatch(text);
    expect(result.status).toBe(status);
  });

  test("on a bare file system there are no processes", () => {
    expect(testShell().sh("proc start a")).toMatchObject({
      output: "proc: this machine has no processes\n",
      status: 1,
    });
  });

  test("mremap moves a mapping with what was written to it", () => {
    const { sh, pid } = withProcess();
    sh(`proc write ${pid} 0x10000000 'it moves along'`);
    expect(sh(`proc mremap ${pid} 0x10000000 64K 64K --to 0x30000000`).stdout).toBe("0x30000000\n");
    expect(sh(`proc read ${pid} 0x30000000 14`).stdout).toContain("it moves along");
    expect(sh(`proc read ${pid} 0x10000000 1`).status).toBe(139);
  });

  test("munmap, brk and mlock show in the status of the process", () => {
    const { sh, pid } = withProcess();
    const status = (field: string): string =>
      sh(`grep ${field} /proc/${pid}/status`).stdout.replaceAll(/\s+/g, " ");
    expect(sh(`proc brk ${pid}`).stdout).toBe("0x4b40000\n");
    expect(sh(`proc brk ${pid} 0x4b60000`).stdout).toBe("0x4b60000\n");
    sh(`proc mlock ${pid} 0x10000000 16K`);
    expect(status("VmLck")).toBe("VmLck: 16 kB ");
    sh(`proc munlock ${pid} 0x10000000 16K; proc munmap ${pid} 0x10000000 64K`);
    expect(status("VmLck")).toBe("VmLck: 0 kB ");
    expect(sh(`grep -c 10000000 /proc/${pid}/maps`).stdout).toBe("0\n");
  });

  test("touch --read leaves the zero page, touch makes pages", () => {
    const { sh, pid } = withProcess();
    const rss = (): number => Number(sh(`ps -o pid,anon | grep '^ *${pid} '`).stdout.trim().split(/\s+/)[1]);
    const before = rss();
    sh(`proc touch ${pid} 0x10000000 64K --read`);
    expect(rss()).toBe(before);
    sh(`proc touch ${pid} 0x10000000 64K`);
    expect(rss()).toBe(before + 64);
  });

  test("read stars what repeats and shows the last line", () => {
    const { sh, pid } = withProcess();
    expect(sh(`proc read ${pid} 0x10000000 56`).stdout).toBe(
      [
        "10000000: 0000 0000 0000 0000 0000 0000 0000 0000  ................",
        "*",
        "10000030: 0000 0000 0000 0000                      ........",
        "",
      ].join("\n"),
    );
  });
});

describe("ps, pidof and kill", () => {
  test("ps has the columns that are asked for, and itself", () => {
    const { sh, pid } = withProcess();
    expect(sh("ps -o pid,ppid,stat,comm").stdout).toMatch(
      new RegExp(`^ +PID +PPID STAT COMMAND\\n +${pid} +1 R +a\\n +\\d+ +1 R +ps\\n$`),
    );
    expect(sh("ps -o pid,soul")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("bad -o argument 'soul'"),
    });
  });

  test("pidof has the youngest first, and status 1 for a name that nobody has", () => {
    const { sh, pid } = withProcess();
    const child = sh(`proc fork ${pid}`).stdout.trim();
    expect(sh("pidof a").stdout).toBe(`${child} ${pid}\n`);
    expect(sh("pidof -s a").stdout).toBe(`${child}\n`);
    expect(sh("pidof nobody")).toMatchObject({ output: "", status: 1 });
  });

  test("kill ends any number of processes, and 0 none", () => {
    const { sh, pid } = withProcess();
    const child = sh(`proc fork ${pid}`).stdout.trim();
    expect(sh(`kill -0 ${pid}; pidof a`).stdout).toBe(`${child} ${pid}\n`);
    expect(sh(`kill -KILL ${pid} 4711 ${child}`)).toMatchObject({
      output: "sh: can't kill pid 4711: No such process\n",
      status: 1,
    });
    expect(sh("pidof a").status).toBe(1);
    expect(sh("kill -NONSENSE 1").output).toBe("sh: bad signal name 'NONSENSE'\n");
  });
});

describe("free", () => {
  test("has the columns of procps, in kilobytes or larger units", () => {
    const { sh } = withProcess();
    const [titles, memory, swap] = sh("free").stdout.split("\n");
    expect(titles).toBe("               total        used        free      shared  buff/cache   available");
    expect(memory).toMatch(/^Mem: {5} +\d+( +\d+){5}$/);
    expect(swap).toBe("Swap:              0           0           0");
    const total = Number(/^Mem: +(\d+)/m.exec(sh("free -m").stdout)?.[1]);
    expect(total).toBe(Math.floor(Number(/^Mem: +(\d+)/.exec(memory ?? "")?.[1]) / 1024));
  });
});

describe("od and dd", () => {
  test("a pagemap is read where the address is, a block at a time", () => {
    const { sh, pid } = withProcess();
    sh(`proc touch ${pid} 0x10000000 4K`);
    const line = sh(`od -An -tx8 -j $(( 0x10000 * 8 )) -N 16 /proc/${pid}/pagemap`).stdout;
    expect(line).toMatch(/^ 8180000000[0-9a-f]{6} 0080000000000000\n$/);
    expect(sh(`dd if=/proc/${pid}/pagemap bs=8 skip=65536 count=2 2>/dev/null | od -An -tx8`).stdout).toBe(
      line,
    );
  });
});
