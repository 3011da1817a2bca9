// Persistent and set-aside memory of whole machines: what a release makes of it, and what a reboot leaves.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { BUNDLED_CAPTURES, openTree } from "@hetmem/host-capture/node";
import { captureHost } from "@hetmem/host-capture";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml, type MachineSpec, type ProfileName } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

const PMEM = fileURLToPath(new URL("../fixtures/machines/server-pmem.yaml", import.meta.url));

function serverPmem(profile: ProfileName, change: (text: string) => string = (text) => text): MachineSpec {
  return machineOfYaml(change(readFileSync(PMEM, "utf8")), "server-pmem.yaml", profile);
}

function withoutRules(text: string): string {
  return text.replace(/^rules:\n.*\n/m, "");
}

/** A shell on a machine that can be booted again. */
function shellOn(spec: MachineSpec): (line: string) => string {
  const shell = new Shell(createMachine(spec), PROGRAMS);
  return (line) => run(shell.execute(line)).output;
}

test("a captured host keeps its modules, its region and the nodes of both", () => {
  const { spec } = captureHost(openTree(BUNDLED_CAPTURES.nvdimm), "v6.1");
  expect(spec.nvdimm).toEqual({
    provider: "ACPI.NFIT",
    firmware: "labels",
    modules: [
      { handle: 1, physId: 0, vendor: 0x8680, device: 0x0100, serial: 0x56341200, capacity: 2 ** 30 },
    ],
    ranges: [
      {
        start: 2 ** 32,
        end: 2 ** 32 + 2 ** 30,
        mappings: [{ dimm: 0, start: 0 }],
        numaNode: 0,
        targetNode: 2,
      },
    ],
  });
});

test("a rule of the machine file makes RAM of a device when it comes, and again after a reboot", () => {
  const sh = shellOn(serverPmem("v6.1"));
  sh("ndctl create-namespace -m devdax -s 3G");
  const zones = sh("lsmem -o ZONES,NODE,SIZE | grep 2");
  expect(zones).toMatch(/Movable +2 +2\.9G/);
  sh("reboot");
  expect(sh("lsmem -o ZONES,NODE,SIZE | grep 2")).toBe(zones);
});

test("a rule whose command fails is in the log", () => {
  const sh = shellOn(
    serverPmem("v6.1", (text) => text.replace(/run: .* }/, "run: daxctl online-memory dax0.0 }")),
  );
  sh("ndctl create-namespace -m devdax");
  expect(sh("dmesg | tail -4")).toMatch(
    /udevd: dax0\.0: 'daxctl online-memory dax0\.0' failed with exit code 250\./,
  );
});

test("without a rule a device comes back as devdax, and namespaces with their names and sizes", () => {
  const sh = shellOn(serverPmem("v6.1", withoutRules));
  sh("ndctl create-namespace -m devdax -s 1G -n database && ndctl create-namespace -m fsdax -s 1G");
  sh("daxctl reconfigure-device -m system-ram dax0.0");
  const before = sh("ndctl list");
  sh("reboot");
  expect(sh("ndctl list")).toBe(before);
  expect(sh("daxctl list -d dax0.0")).toContain('"mode":"devdax"');
});

test("memory that is set aside is a dax region of its own, next to the node that its distance says", () => {
  const sh = shellOn(serverPmem("v6.1", withoutRules));
  expect(sh("cat /sys/bus/dax/devices/dax1.0/target_node /sys/bus/dax/devices/dax1.0/numa_node")).toBe(
    "3\n1\n",
  );
  expect(sh("grep -A2 hmem /proc/iomem")).toBe(
    "400000000-47fffffff : hmem.1\n  400000000-47fffffff : Soft Reserved\n    400000000-47fffffff : dax1.0\n",
  );
});

test("processes map a dax device, in whole units of its alignment", () => {
  const sh = shellOn(serverPmem("v6.1", withoutRules));
  sh("proc start qemu; P=$(pidof qemu); A=$(proc mmap $P 4M --file /dev/dax1.0 --shared)");
  expect(sh("proc write $P $A hello; proc read $P $A 5")).toMatch(/hello$/m);
  expect(sh("proc mmap $P 4K --file /dev/dax1.0 --shared")).toContain("Invalid argument");
});

test("in 4.14 devices are in a class, no driver can be chosen, and nothing becomes RAM", () => {
  const sh = shellOn(serverPmem("v4.14", withoutRules));
  sh("ndctl create-namespace -m devdax");
  expect(sh("ls /sys/class/dax; ls -d /sys/bus/dax")).toMatch(/^dax0\.0\nls: \/sys\/bus\/dax: No such file/);
  expect(sh("daxctl reconfigure-device -m system-ram dax0.0")).toMatch(
    /daxctl_dev_disable: dax0\.0: error: device model is dax-class(.|\n)*Operation not supported\nreconfigured 0 devices/,
  );
});

test("in 5.1 memory of a device is plain System RAM, and stays until the next boot", () => {
  const sh = shellOn(serverPmem("v5.1", withoutRules));
  sh("ndctl create-namespace -m devdax && daxctl reconfigure-device -N -m system-ram dax0.0");
  expect(sh("grep -A2 dax0.0 /proc/iomem")).toMatch(/dax0\.0\n +\w+-\w+ : System RAM\n/);
  expect(sh("daxctl reconfigure-device -m devdax dax0.0")).toContain("reconfigured 0 devices");
  sh("reboot");
  expect(sh("daxctl list -d dax0.0")).toContain('"mode":"devdax"');
});

test.each([
  ["node: 9", /there is no node 9; add it to nodes, without memory/],
  ["node: 2, modules: 3", /interleaved over 1, 2, 4, 8 or 16 modules/],
])("persistent memory with %s is refused with a sentence", (words, sentence) => {
  const text = (file: string): string => file.replace(/node: 2, modules: 2/, words);
  expect(() => serverPmem("v6.1", text)).toThrow(sentence);
});

test.each([
  ["v4.14", "devdax"],
  ["v4.14", "fsdax"],
  ["v5.1", "devdax"],
  ["v5.1", "fsdax"],
  ["v6.1", "devdax"],
  ["v6.1", "fsdax"],
] as const)("in %s a namespace in mode %s in the middle of a section can be disabled", (profile, mode) => {
  const sh = shellOn(serverPmem(profile, withoutRules));
  sh(`ndctl create-namespace -m raw -s 32M; ndctl create-namespace -m ${mode} -s 32M`);
  expect(sh("ndctl list")).toContain(`"mode":"${mode}"`);
  const before = sh("grep -A3 Persistent /proc/iomem");
  expect(sh("ndctl disable-region all; ndctl enable-region all")).toBe(
    "disabled 1 region\nenabled 1 region\n",
  );
  expect(sh("grep -A3 Persistent /proc/iomem")).toBe(before);
});
