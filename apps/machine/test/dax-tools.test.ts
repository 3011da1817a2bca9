// ndctl and daxctl as they are called wrongly, and in the wrong moment: the words and statuses of version 76, which the real
// programs were asked for.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { run } from "@hetmem/kernel";
import { beforeEach, expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { PROGRAMS } from "../src/programs/index.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell, type ShellResult } from "@hetmem/shell";
import { testShell } from "./shell-machine.ts";

const PMEM = fileURLToPath(new URL("../fixtures/machines/server-pmem.yaml", import.meta.url));
const spec = machineOfYaml(readFileSync(PMEM, "utf8").replace(/^rules:\n.*\n/m, ""), PMEM);

let sh: (line: string) => ShellResult;
beforeEach(() => {
  const shell = new Shell(createMachine(spec), PROGRAMS);
  sh = (line) => run(shell.execute(line));
});

test.each([
  ["daxctl list", "", 0],
  ["ndctl list", "", 0],
  [
    "daxctl reconfigure-device -m devdax dax0.0",
    "error reconfiguring devices: No such device or address\nreconfigured 0 devices\n",
    250,
  ],
  [
    "daxctl online-memory dax9.9",
    "error onlining memory: No such device or address\nonlined memory for 0 devices\n",
    250,
  ],
  ["daxctl create-device", "error creating devices: No such device or address\ncreated 0 devices\n", 250],
  ["ndctl destroy-namespace -f all", "destroyed 0 namespaces\n", 0],
  [
    "ndctl destroy-namespace namespace0.0",
    "error destroying namespaces: No such device or address\ndestroyed 0 namespaces\n",
    250,
  ],
  ["ndctl create-namespace", "failed to create namespace: No such device or address\n", 237],
  [
    "ndctl create-namespace -c",
    "created 0 namespaces\nfailed to create namespace: No such device or address\n",
    237,
  ],
  ["ndctl clear-errors all", "cleared 0 namespaces\n", 0],
  ["ndctl check-labels all", "successfully verified 0 nmem label\n", 0],
  ["ndctl inject-error -t -B 1 namespace0.0", "  Error: status is invalid with inject or uninject\n\n", 234],
  ["ndctl inject-error -B x -n 1 namespace0.0", "  Error: Invalid block: x\n\n", 234],
  [
    "ndctl create-namespace -e namespace9.9",
    "failed to reconfigure namespace: No such device or address\n",
    250,
  ],
  ["ndctl inject-error namespace0.0", "  Error: block and count required for inject/uninject\n\n", 234],
  ["ndctl inject-error -B 1 -n 1 namespace0.0", "  Error: namespace0.0: no such namespace\n\n", 250],
  ["ndctl start-scrub", "error starting scrub: No such device or address\n", 250],
  ["ndctl disable-region all", "disabled 0 regions\n", 0],
  ["ndctl zero-labels nmem0", "zeroed 0 nmem\n", 0],
  ["ndctl frob", "Unknown command: 'frob'\n", 1],
  ["daxctl --version", "76.1\n", 0],
])("without any device, `%s` answers as the real program does", (line, output, status) => {
  expect(testShell().sh(line)).toMatchObject({ output, status });
});

test.each([
  [
    "daxctl list --foo",
    /^ {2}Error: unknown option `foo'\n\n usage: daxctl list \[<options>\]\n\n {4}-r, --region <region-id>\n {26}filter by region\n/,
  ],
  ["daxctl list -Z", /^ {2}Error: unknown switch `Z'\n/],
  ["daxctl list -r", /^ {2}Error: switch `r' requires a value\n/],
  ["ndctl list --reg", /^ {2}Error: Ambiguous option: reg \(could be --region or --regions\)\n/],
  ["daxctl reconfigure-device", /^specify a device to reconfigure, or "all"\n/],
  ["daxctl reconfigure-device dax0.0", /^error: a 'align', 'mode' or 'size' option is required\n/],
  ["daxctl reconfigure-device -m devdax -N dax0.0", /^--no-online is incompatible with --mode=devdax\n/],
  ["ndctl create-namespace -m foo", /^ {2}Error: invalid mode 'foo'\n\n\n usage: ndctl create-namespace/],
  ["ndctl create-namespace foo", /^ {2}Error: unknown extra parameter "foo"\n\n\n usage/],
  ["ndctl destroy-namespace", /^ {2}Error: specify a namespace to destroy, or "all"\n\n\n usage/],
])("`%s` is answered with the usage and status 129", (line, words) => {
  const { output, status } = sh(line);
  expect(output).toMatch(words);
  expect(status).toBe(129);
});

test.each([
  ["ndctl create-namespace -s 64G", "failed to create namespace: No space left on device\n", 237],
  // A reason of the command itself stands in place of the errno, and the status is its own.
  [
    "ndctl create-namespace -s 100M -m devdax",
    "  Error: create namespace: region0: align setting is 0x1000000 size 0x6400000 is misaligned\n\n",
    234,
  ],
  [
    "ndctl create-namespace -s 64M -m sector -l 1000",
    "  Error: create namespace: region0: does not support btt sector_size 1000\n\n",
    234,
  ],
  [
    "ndctl create-namespace -s 1G -m raw -a 4K",
    "  Error: raw mode does not support setting an alignment\n\nfailed to create namespace: No such device or address\n",
    237,
  ],
  [
    "ndctl enable-namespace namespace0.0",
    "libndctl: ndctl_namespace_enable: namespace0.0: failed to enable\nerror enabling namespaces: No such device or address\nenabled 0 namespaces\n",
    250,
  ],
  ["ndctl create-namespace -m constructor", /^ {2}Error: invalid mode 'constructor'\n/, 129],
  ["ndctl inject-error -B 1 -n 1", /Error: specify a namespace to inject error to\n/, 129],
  ["ndctl init-labels nmem0", "nmem0: regions active, abort label write\ninitialized 0 nmem\n", 1],
  ["ndctl disable-dimm nmem0", "nmem0 is active, skipping...\ndisabled 0 nmem\n", 1],
  [
    "ndctl disable-region all >/dev/null; ndctl init-labels nmem0",
    "disabled 1 region\nnmem0: error: labels already initialized\ninitialized 0 nmem\n",
    1,
  ],
  ["ndctl check-labels all", "successfully verified 2 nmem labels\n", 0],
  ["ndctl enable-region region0", /region0|0 regions|1 region/, 0],
])(
  "where there is persistent memory, `%s` says so and ends as the real program does",
  (line, words, status) => {
    const result = sh(line);
    if (typeof words === "string") expect(result.output).toBe(words);
    else expect(result.output).toMatch(words);
    expect(result.status).toBe(status);
  },
);

test("where the firmware can't inject errors, that is said, with EOPNOTSUPP's status", () => {
  const { nvdimm } = spec;
  if (!nvdimm) throw new Error("the fixture has persistent memory");
  const shell = new Shell(createMachine({ ...spec, nvdimm: { ...nvdimm, firmware: "labels" } }), PROGRAMS);
  run(shell.execute("ndctl create-namespace -s 1G"));
  expect(run(shell.execute("ndctl inject-error -B 1 -n 1 namespace0.0"))).toMatchObject({
    output: "namespace0.0: error injection not supported\n",
    status: 161,
  });
});

test("an active namespace is destroyed only with -f, and its capacity is free again", () => {
  sh("ndctl create-namespace -m devdax -s 1G");
  expect(sh("ndctl destroy-namespace namespace0.0")).toMatchObject({
    output:
      "  Error: namespace0.0 is active, specify --force for re-configuration\n\nerror destroying namespaces: Device or resource busy\ndestroyed 0 namespaces\n",
    status: 240,
  });
  sh("ndctl destroy-namespace -f namespace0.0");
  expect(sh("ndctl list -R").output).toContain('"available_size":4294967296');
});

test("a device that is RAM goes back to devdax when its blocks are offline, or with -f", () => {
  sh("daxctl reconfigure-device -m system-ram dax1.0");
  expect(sh("daxctl reconfigure-device -v -m devdax dax1.0").output).toBe(
    "dax1.0: found 16 memory sections online\ndax1.0: refusing to change modes\nerror reconfiguring devices: Device or resource busy\nreconfigured 0 devices\n",
  );
  expect(sh("daxctl reconfigure-device -v -f -m devdax dax1.0").output).toContain(
    "dax1.0: 16 memory sections offlined\n",
  );
});

test.each(["online", "online_kernel", "online_movable"])(
  "memory that the kernel takes %s by itself is not reconfigured unless with -f",
  (policy) => {
    sh(`echo ${policy} > /sys/devices/system/memory/auto_online_blocks`);
    expect(sh("daxctl reconfigure-device -m system-ram dax1.0")).toMatchObject({
      output:
        "dax1.0: error: kernel policy will auto-online memory, aborting\nerror reconfiguring devices: Device or resource busy\nreconfigured 0 devices\n",
      status: 240,
    });
  },
);

test("with -f, memory that came online by itself is as it was wanted: the device is shown, and counted", () => {
  sh("echo online_movable > /sys/devices/system/memory/auto_online_blocks");
  const { stdout, stderr, status } = sh("daxctl reconfigure-device -m system-ram -f dax1.0");
  expect(stderr).toMatch(
    /^dax1\.0:\n {2}WARNING: detected a race while onlining memory\n.*\ndax1\.0: all memory sections \(16\) already online\nreconfigured 1 device\n$/s,
  );
  expect(stdout).toContain('"online_memblocks":16');
  expect(status).toBe(0);
  expect(sh("daxctl online-memory dax1.0")).toMatchObject({
    stderr: expect.stringContaining("onlined memory for 0 devices\n"),
    status: 1,
  });
});

test("a device is made again from what was printed of it", () => {
  sh("daxctl list -M -u -d dax1.0 > /tmp/human; daxctl list -M -d dax1.0 | sed '1d;$d' > /tmp/dax1.0");
  expect(sh("daxctl create-device --input /tmp/human").stderr).toMatch(
    /^error: failed to parse device file: Invalid argument\n\n usage: daxctl create-device/,
  );
  sh("daxctl destroy-device -f dax1.0");
  expect(sh("daxctl create-device --input /tmp/dax1.0").stderr).toBe("created 1 device\n");
});

test("online-memory of a device in devdax mode doesn't apply", () => {
  expect(sh("daxctl online-memory dax1.0")).toMatchObject({
    output:
      "dax1.0: memory operations are not applicable in devdax mode\nerror onlining memory: No such device or address\nonlined memory for 0 devices\n",
    status: 250,
  });
});

test("a region that was set aside is divided, and its parts are given back", () => {
  expect(sh("daxctl reconfigure-device -s 512M dax1.0")).toMatchObject({
    output:
      "libdaxctl: daxctl_dev_set_size: dax1.0: failed to set size\nerror reconfiguring devices: No such device or address\nreconfigured 0 devices\n",
    status: 250,
  });
  sh("daxctl disable-device dax1.0");
  expect(sh("daxctl reconfigure-device -s 512M dax1.0").output).toBe("reconfigured 1 device\n");
  expect(sh("daxctl create-device -r 1 -u").output).toContain('"size":"1536.00 MiB (1610.61 MB)"');
  expect(sh("daxctl destroy-device dax1.1").output).toMatch(
    /^dax1\.1 is active, specify --force for deletion\n/,
  );
  expect(sh("daxctl destroy-device -f dax1.1").output).toBe("destroyed 1 device\n");
  expect(sh("daxctl list -r 1").output).toContain('"available_size":1610612736');
});

test("memory that is online as RAM isn't stranded by ndctl, and is given back once it is offline", () => {
  sh("ndctl create-namespace -m devdax -s 1G; daxctl reconfigure-device -m system-ram dax0.0");
  expect(sh("ndctl disable-region region0")).toMatchObject({ output: "disabled 0 regions\n", status: 0 });
  expect(sh("ndctl disable-namespace -v namespace0.0")).toMatchObject({
    output:
      "libndctl: ndctl_namespace_disable_safe: namespace0.0: active as system-ram, refusing to disable\nerror disabling namespaces: Device or resource busy\ndisabled 0 namespaces\n",
    status: 240,
  });
  expect(sh("ndctl destroy-namespace -f all")).toMatchObject({
    output: "error destroying namespaces: Device or resource busy\ndestroyed 0 namespaces\n",
    status: 240,
  });
  expect(sh("ndctl create-namespace -f -e namespace0.0 -m raw").status).toBe(240);
  expect(sh("dmesg | grep hotremoved").output).toBe("");
  sh("daxctl reconfigure-device -f -m devdax dax0.0");
  expect(sh("ndctl create-namespace -f -e namespace0.0 -m raw").output).toContain('"mode":"raw"');
});

test("errors that were injected are listed, and cleared", () => {
  sh("ndctl create-namespace -m devdax");
  expect(sh("ndctl inject-error -B 4 -n 2 namespace0.0").output).toContain('"badblock_count":2');
  expect(sh("ndctl clear-errors namespace0.0").output).not.toContain("badblock");
});

test("numactl -m runs a program whose memory comes from those nodes, and refuses others", () => {
  expect(sh("numactl -m 1 echo here")).toMatchObject({ output: "here\n", status: 0 });
  expect(sh("numactl -m 3 echo here").output).toContain("<3> is invalid");
});

test("sizes of a namespace that is made are for people on a terminal, and for programs everywhere else", () => {
  const shell = new Shell(createMachine(spec), PROGRAMS);
  let seen = "";
  const terminal = { isTerminal: true, out: (text: string) => void (seen += text), err: () => {} };
  run(shell.execute("ndctl create-namespace -r region0 -m devdax -s 1G", { terminal }));
  expect(seen).toMatch(/"size":"10\d\d\.\d\d MiB \(10\d\d\.\d\d MB\)"/);
  seen = "";
  run(shell.execute("ndctl create-namespace -r region0 -m devdax -s 1G | cat", { terminal }));
  expect(seen).toMatch(/"size":10\d{8},/);
});

test("a device stays RAM as long as one of its blocks is online", () => {
  sh("daxctl reconfigure-device -N -m system-ram dax1.0");
  sh("echo online > /sys/devices/system/memory/memory128/state");
  expect(sh("daxctl reconfigure-device -v -m devdax dax1.0").output).toBe(
    "dax1.0: found 1 memory sections online\ndax1.0: refusing to change modes\nerror reconfiguring devices: Device or resource busy\nreconfigured 0 devices\n",
  );
});

test("the first device of a region gives its memory back, and stays: destroying it is EBUSY", () => {
  expect(sh("daxctl destroy-device -f dax1.0")).toMatchObject({
    output: "error destroying devices: Device or resource busy\ndestroyed 0 devices\n",
    status: 240,
  });
  expect(sh("daxctl list -r 1").output).toContain('"available_size":2147483648');
  expect(sh("cat /sys/bus/dax/devices/dax1.0/size").output).toBe("0\n");
});
