// What `explain` says in the shell, and `hetmem explain` after a script: who uses what a cgroup pays for, and what led to
// the kills in it.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";
import { hetmem } from "./hetmem-program.ts";

const YAML = "nodes:\n  - memory: 256M\n    cpus: 0-1\n";
/** A process with 8 MiB in a cgroup; then one that wants more than the 16 MiB it may have. */
const SCRIPT = `cd /sys/fs/cgroup; echo +memory > cgroup.subtree_control; mkdir web; echo 16M > web/memory.max
echo $$ > web/cgroup.procs
db=$(proc start db)
address=$(proc mmap $db 8M)
proc touch $db $address 8M
echo $$ > cgroup.procs
`;
const KILL = `echo $$ > web/cgroup.procs
hog=$(proc start hog)
address=$(proc mmap $hog 32M)
proc touch $hog $address 32M
`;

function shell(): (line: string) => { status: number; output: string } {
  const sh = new Shell(createMachine(machineOfYaml(YAML, "explain.yaml", "v6.1")), PROGRAMS);
  return (text) => {
    let last = { status: 0, output: "" };
    for (const line of text.trim().split("\n")) last = run(sh.execute(line));
    return last;
  };
}

test("explain in the shell says who uses what a cgroup pays for, and takes the directory or the path", () => {
  const sh = shell();
  sh(SCRIPT);
  const { output } = sh("explain web");
  expect(output).toMatch(/^\/web pays for 8\.\d MiB of memory \(\d+ pages\) and 0 KiB of swap\n/);
  expect(output).toMatch(/ {5}8\.\d MiB +- {3}db \(\d+\)\n +8\.0 MiB +- {5}\[anon\]\n/);
  expect(output).toContain("page tables");
  expect(output).toMatch(/by where it is\n +8\.\d MiB {3}RAM of node 0\n/);
  expect(sh("explain /sys/fs/cgroup/web").output).toBe(output);
  expect(sh("explain /web").output).toBe(output);
});

test("explain in the shell tells what led to a kill", () => {
  const sh = shell();
  sh(SCRIPT + KILL);
  const { output } = sh("explain web");
  expect(output).toMatch(/out of memory: \/web\. Killed: (hog|db) \(\d+\) in \/web\n/);
  expect(output).toMatch(
    /hog \(\d+\) wanted 4 KiB beyond the 16\.0 MiB that \/web may have: reclaim .*nothing/,
  );
});

test("files in memory that nobody maps are shown by their paths, and the shell pays for what it writes itself", () => {
  const sh = shell();
  sh(SCRIPT);
  sh(
    "echo $$ > web/cgroup.procs\nmkdir /tmp/logs\necho hello > /tmp/logs/today\ndd if=/dev/zero of=/tmp/table bs=1M count=1",
  );
  const { output } = sh("explain web");
  expect(output).toMatch(/ 1\.0 MiB {3}\/tmp\/table\n/);
  expect(output).toMatch(/ 4 KiB {3}\/tmp\/logs\/today\n/);
  expect(sh("grep shmem web/memory.stat").output).toContain(`shmem ${257 * 4096}\n`);
});

test("the machine's pressure is that of the root", () => {
  const sh = shell();
  const { output } = sh("cat /proc/pressure/memory");
  expect(output).toMatch(/^some avg10=0\.00 .*\nfull avg10=0\.00 .*\n$/);
  expect(sh("cat /sys/fs/cgroup/memory.pressure").output).toBe(output);
});

test("explain of a cgroup that isn't there says so", () => {
  const { status, output } = shell()("explain /nobody");
  expect(status).toBe(1);
  expect(output).toContain("explain: /nobody: No such file or directory");
});

test("hetmem explain runs a script and prints the explanation alone, as text or for programs", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hetmem-explain-"));
  const [machine, script] = [join(folder, "machine.yaml"), join(folder, "load.sh")];
  writeFileSync(machine, YAML);
  writeFileSync(script, SCRIPT);
  const text = await hetmem("explain", "/web", script, "--machine", machine, "--profile", "v6.1");
  expect(text.status).toBe(0);
  expect(text.out).toMatch(/^\/web pays for 8\.\d MiB/);
  const json = await hetmem("explain", "/web", script, "--machine", machine, "--profile", "v6.1", "--json");
  const { attribution, ooms } = JSON.parse(json.out);
  expect(attribution).toMatchObject({ cgroup: "/web", processes: [{ comm: "db" }] });
  expect(ooms).toEqual([]);
});
