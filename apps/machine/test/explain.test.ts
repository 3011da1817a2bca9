// What `explain` says in the shell, and `hetmem explain` after a script: who uses what a cgroup pays for, and what led to
// the kills in it.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { PROGRAMS, Shell } from "../src/shell/index.ts";
import { machineOfYaml } from "../src/spec/yaml.ts";
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
  expect(output).toMatch(/^\/web pays for \d+ pages \(8\.\d MiB\), and for 0 pages \(0 KiB\) in swap\n/);
  expect(output).toMatch(/ {6}20\d\d {2}db \(\d+\)\n/);
  expect(output).toContain("page tables");
  expect(output).toMatch(/by node\n +\d+ {2}node 0\n/);
  expect(sh("explain /sys/fs/cgroup/web").output).toBe(output);
  expect(sh("explain /web").output).toBe(output);
});

test("explain in the shell tells what led to a kill", () => {
  const sh = shell();
  sh(SCRIPT + KILL);
  const { output } = sh("explain web");
  expect(output).toMatch(/out of memory in \/web: 4096 of 4096 pages/);
  expect(output).toMatch(/hog \(\d+\) wants 1 at 40\d\d of 4096 in \/web: \d+ looked at, 0 freed/);
  expect(output).toMatch(/killed: (hog|db) \(\d+\)\n/);
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
  expect(text.out).toMatch(/^\/web pays for \d+ pages/);
  const json = await hetmem("explain", "/web", script, "--machine", machine, "--profile", "v6.1", "--json");
  const { attribution, ooms } = JSON.parse(json.out);
  expect(attribution).toMatchObject({ cgroup: "/web", processes: [{ comm: "db" }] });
  expect(ooms).toEqual([]);
});
