// A placement policy decides which zone a memory block goes to when it is brought online, and /sys shows what it allows. The
// policy here has one rule more than the kernel's: memory of a node without cpus, such as a CXL expander, is movable and
// nothing else, so that no kernel page ever keeps it from being unplugged.
import { run } from "@hetmem/kernel";
import { createMachine, type MachineParts, machineOfYaml, openShell } from "hetmem";
import { anyOrderPlacement, type Memory, type OnlineType, type Placement, type Zone } from "@hetmem/zone";
import type { PlacementRequest } from "@hetmem/zone";

function zonesOf(memory: Memory, request: PlacementRequest): readonly Zone[] {
  const zones = anyOrderPlacement.validZones(memory, request);
  const hasCpus = (memory.nodes[request.node]?.cpus.length ?? 0) > 0;
  return hasCpus ? zones : zones.filter(({ name }) => name === "Movable");
}

const movableWithoutCpus: Placement = {
  name: "movable-without-cpus",
  /** undefined: a write to `state` is EINVAL. */
  zoneFor(memory: Memory, type: OnlineType, request: PlacementRequest): Zone | undefined {
    const zones = zonesOf(memory, request);
    if (type === "online") return zones[0];
    return zones.find(({ name }) => (name === "Movable") === (type === "online_movable"));
  },
  /** The lines of `valid_zones`, the default first. */
  validZones: zonesOf,
};

/** Node 1 is a CXL expander. Its memory is a dax device until an administrator makes it RAM. */
const MACHINE = `
name: expander
block_size: 128M
nodes:
  - { memory: 2G, cpus: 0-1 }
  - { memory: [], cpus: [] }
devices:
  - { name: Soft Reserved, start: 0x140000000, size: 256M, node: 1 }
`;

const SESSION = [
  "daxctl reconfigure-device --mode=system-ram --no-online dax0.0 >/dev/null 2>&1",
  "cd /sys/devices/system/memory; cat memory40/valid_zones",
  "echo online > memory40/state; cat memory40/valid_zones",
  "echo online_kernel > memory41/state; cat memory41/state",
];

session("the placement of the profile", {});
session("ours", { placement: () => movableWithoutCpus });

function session(title: string, parts: Partial<MachineParts>): void {
  console.log(`== ${title}`);
  const machine = createMachine(machineOfYaml(MACHINE, "expander.yaml", "v6.1"), parts);
  const shell = openShell(machine);
  // Behind each refused write, the reason, as at a prompt.
  shell.explainWith(({ reason }) => `    ${reason}\n`);
  for (const command of SESSION) {
    console.log(`# ${command}`);
    const { output } = run(shell.execute(command));
    if (output !== "") console.log(output.trimEnd());
  }
}
