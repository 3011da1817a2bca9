// A placement of one's own (odd blocks are movable), and an online policy of one's own, chosen at run time.
import assert from "node:assert/strict";
import { run } from "@hetmem/kernel";
import {
  contigZones,
  defaultFirst,
  defaultKernelZone,
  type OnlinePolicy,
  type Placement,
  uintParameter,
  zoneOfNode,
  ZoneType,
} from "@hetmem/zone";
import { createMachine, machineOfYaml, type MachineParts, openShell } from "hetmem";

const oddMovable: Placement = {
  name: "odd-movable",
  zoneFor(memory, type, request) {
    const odd = (request.start / request.pages) % 2 === 1;
    const movable = type === "online_movable" || (type === "online" && odd);
    return movable ? zoneOfNode(memory, request.node, ZoneType.Movable) : defaultKernelZone(memory, request);
  },
  validZones(memory, request) {
    return defaultFirst(this, memory, request);
  },
};
// Every nth block plainly onlined is movable.
const every = uintParameter("every", 3);
const everyNth: OnlinePolicy = {
  name: "every-nth",
  parameters: [every],
  zoneFor({ memory, parameters }, request) {
    return (request.start / request.pages) % parameters.get(every) === 0
      ? zoneOfNode(memory, request.node, ZoneType.Movable)
      : defaultKernelZone(memory, request);
  },
};
const yaml = "nodes: [{ memory: { start: 0, end: 2G }, cpus: 0-1 }]";
function boot(parts: Partial<MachineParts>): (line: string) => string {
  const shell = openShell(createMachine(machineOfYaml(yaml, "placement.yaml", "v6.1"), parts));
  return (line) => {
    const { status, output } = run(shell.execute(line));
    assert.equal(status, 0, `${line}: ${output}`);
    return output.trim();
  };
}
const MEM = "/sys/devices/system/memory";
const PROBE = `for a in 0x100000000 0x108000000 0x110000000 0x118000000; do echo $a > ${MEM}/probe; done`;

let sh = boot({ placement: () => oddMovable });
sh(PROBE);
assert.equal(sh(`cat ${MEM}/memory32/valid_zones`), "Normal Movable");
assert.equal(sh(`cat ${MEM}/memory33/valid_zones`), "Movable Normal");
sh(
  `echo online > ${MEM}/memory32/state; echo online > ${MEM}/memory33/state; echo online_kernel > ${MEM}/memory35/state`,
);
assert.equal(
  sh(`cat ${MEM}/memory32/valid_zones ${MEM}/memory33/valid_zones ${MEM}/memory35/valid_zones`),
  "Normal\nMovable\nNormal",
);

const PARAMETERS = "/sys/module/memory_hotplug/parameters";
sh = boot({ onlinePolicies: [contigZones, everyNth] });
sh(PROBE);
assert.equal(sh(`cat ${MEM}/memory34/valid_zones`), "Normal Movable");
sh(`echo every-nth > ${PARAMETERS}/online_policy; echo 2 > ${PARAMETERS}/every`);
assert.equal(sh(`cat ${MEM}/memory34/valid_zones`), "Movable Normal");
sh(`echo online > ${MEM}/memory34/state; echo online > ${MEM}/memory35/state`);
assert.equal(sh(`cat ${MEM}/memory34/valid_zones ${MEM}/memory35/valid_zones`), "Movable\nNormal");
console.log("odd blocks went movable, and every second by an online policy that echo chose");
