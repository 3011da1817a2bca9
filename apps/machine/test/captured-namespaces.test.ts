// Captured hosts with namespaces: a machine is made, its files are read as a captured tree, and the machine that is made of
// them has the same namespaces, dax devices and RAM.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { captureHost, vfsTree } from "@hetmem/host-capture";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml, type MachineSpec } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

const PMEM = fileURLToPath(new URL("../fixtures/machines/server-pmem.yaml", import.meta.url));
const spec = machineOfYaml(readFileSync(PMEM, "utf8").replace(/^rules:\n.*\n/m, ""), PMEM);

function host(from: MachineSpec, script = "") {
  const machine = createMachine(from);
  const shell = new Shell(machine, PROGRAMS);
  const sh = (line: string): string => run(shell.execute(line)).output;
  sh(script);
  return { sh, capture: () => captureHost(vfsTree("host", machine.vfs), "v6.1") };
}

test.each([
  ["devdax", "-m devdax -s 1G -n database"],
  ["devdax with struct pages in RAM", "-m devdax -s 1G -M mem"],
  ["devdax of 4 KiB", "-m devdax -s 1G -a 4K"],
  ["fsdax", "-m fsdax -s 512M"],
  ["fsdax with struct pages in RAM", "-m fsdax -s 512M -M mem"],
  ["sector", "-m sector -s 512M"],
  ["raw", "-m raw -s 512M -l 4096"],
])("a namespace in mode %s comes up as it was captured", (_mode, options) => {
  const real = host(spec, `ndctl create-namespace ${options}`);
  const { spec: captured, notices } = real.capture();
  expect(notices).toEqual([]);
  const model = host(captured);
  real.sh("reboot");
  expect(model.sh("ndctl list -RNDv")).toBe(real.sh("ndctl list -RNDv"));
  expect(model.sh("daxctl list -RDM")).toBe(real.sh("daxctl list -RDM"));
  expect(model.sh("grep -A9 Persistent /proc/iomem")).toBe(real.sh("grep -A9 Persistent /proc/iomem"));
  model.sh("reboot");
  expect(model.sh("ndctl list -RNDv")).toBe(real.sh("ndctl list -RNDv"));
});

test("namespaces keep their places where others were destroyed", () => {
  const real = host(
    spec,
    "for mode in devdax fsdax devdax; do ndctl create-namespace -m $mode -s 512M; done; ndctl destroy-namespace -f namespace0.1; ndctl destroy-namespace -f namespace0.0",
  );
  const model = host(real.capture().spec);
  expect(model.sh("grep -A9 Persistent /proc/iomem")).toMatch(/ : namespace0\.0\n.* : dax0\.0\n/);
  const places = (text: string): string[] => text.match(/[0-9a-f]+-[0-9a-f]+(?= : (namespace|dax))/g) ?? [];
  expect(places(model.sh("cat /proc/iomem"))).toEqual(places(real.sh("cat /proc/iomem")));
  expect(model.sh("ndctl list -R")).toBe(real.sh("ndctl list -R"));
});

test.each([
  ["movable", "", /^Movable +2$/],
  ["the kernel's", "--no-movable", /^Normal +2$/],
  ["offline", "--no-online", /^Normal\/Movable +2$/],
])("a dax device that was RAM, %s, becomes it by a rule", (_zone, option, lines) => {
  const real = host(
    spec,
    `ndctl create-namespace -m devdax -s 1G; daxctl reconfigure-device -m system-ram ${option} dax0.0; daxctl reconfigure-device -m system-ram dax1.0`,
  );
  const { spec: captured, notices } = real.capture();
  expect(notices.join("\n")).toContain(
    `The host had made RAM of dax0.0: the shell of the machine does so first, by \`daxctl reconfigure-device --mode=system-ram${option && ` ${option}`} dax0.0\`.`,
  );
  expect(captured.nodes.map(({ memory }) => memory.length > 0)).toEqual([true, true, false, false]);
  const model = host(captured);
  expect(captured.bootUsage.map(({ node }) => node)).not.toContain(2);
  for (const command of [
    "daxctl list",
    "lsmem -o RANGE,STATE,ZONES,NODE",
    "grep MemTotal /proc/meminfo",
    "cat /proc/iomem",
  ])
    expect(model.sh(command)).toBe(real.sh(command));
  expect(model.sh("lsmem -o ZONES,NODE | grep '2 *$'").trim()).toMatch(lines);
});

test("memory that was set aside keeps its region and the nodes that it is near, and may be", () => {
  const real = host(spec);
  const model = host(real.capture().spec);
  const files =
    "cat /proc/iomem; cd /sys/bus/dax/devices/dax1.0; cat target_node numa_node size align resource";
  expect(model.sh(files)).toBe(real.sh(files));
});
