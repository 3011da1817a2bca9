// Deliberate mistakes, as from JavaScript: each is refused with words that name what was wrong.
import assert from "node:assert/strict";
import { KernelBug, KernelError, run } from "@hetmem/kernel";
import { anyOrderPlacement, type Placement, ZoneType } from "@hetmem/zone";
import { createMachine, deviceDax, machineOfYaml, type MachineParts, openShell } from "hetmem";

const yaml = `
nodes: [{ memory: 2G, cpus: 0-3 }, { cpus: [] }]
devices: [{ name: Soft Reserved, start: 8G, size: 1G, node: 1 }]
`;
const boot = (parts: object) => {
  const shell = openShell(
    createMachine(machineOfYaml(yaml, "mistakes.yaml", "v6.1"), parts as Partial<MachineParts>),
  );
  return (line: string) => run(shell.execute(line));
};
const refused = (parts: object, message: RegExp) =>
  assert.throws(
    () => boot(parts),
    (error) => error instanceof KernelError && error.errno === "EINVAL" && message.test(error.message),
  );
const MEM = "/sys/devices/system/memory";

refused({ placment: () => anyOrderPlacement }, /no part "placment" \(did you mean placement\?\)/);
refused(
  { placement: anyOrderPlacement },
  /parts\.placement is an object: give it a function that makes a Placement/,
);
refused(
  { placement: () => ({ name: "x", zoneFor() {} }) },
  /parts\.placement made no Placement: its validZones\(\) is undefined/,
);
refused({ daxDrivers: deviceDax }, /parts\.daxDrivers is a function: give it an array of functions/);
refused({ oomChoice: () => ({ selectBadProcess() {} }) }, /oomBadness\(\) is undefined/);
refused(
  { onlinePolicies: [{ name: "two words", zoneFor() {} }] },
  /"two words" has a name that is not one word/,
);

// A zone of another node.
const foreign: Placement = {
  name: "foreign",
  zoneFor: (memory) => memory.nodes[1]?.zones[ZoneType.Movable],
  validZones: () => [],
};
const sh = boot({ placement: () => foreign });
sh(`echo 0x100000000 > ${MEM}/probe`);
assert.throws(
  () => sh(`echo online > ${MEM}/memory32/state`),
  (error) =>
    error instanceof KernelBug &&
    /policy "foreign" answers .* Movable of node 1, and the range is on node 0/.test(error.message),
);
assert.equal(sh(`cat ${MEM}/memory32/state`).output, "offline\n");

// A driver whose probe throws a plain Error: it comes through; the device is free afterwards.
const broken = () => ({
  name: "kmem",
  *probe() {
    throw new Error("my own words");
  },
  *remove() {},
});
const again = boot({ daxDrivers: [deviceDax, broken] });
assert.throws(() => again("daxctl reconfigure-device --mode=system-ram dax0.0"), /my own words/);
assert.equal(again("echo dax0.0 > /sys/bus/dax/drivers/device_dax/bind").status, 0);
console.log("eight mistakes were answered");
