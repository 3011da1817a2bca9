// Online policies: one's own beside those of the kernel, chosen by a write to online_policy, and their parameters as files.
import { GiB, MiB, nodeId, type Pfn, run } from "@hetmem/kernel";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import {
  autoMovable,
  boolParameter,
  contigZones,
  defaultKernelZone,
  memoryHotplugParameters,
  OnlinePolicies,
  type OnlinePolicy,
  onlinePolicyPlacement,
  uintParameter,
  validZones,
  zoneOfNode,
  ZoneType,
} from "../src/index.ts";
import { hotplugMachine, type HotplugMachine } from "@hetmem/test-machines/hotplug-machine";
import { outcome } from "@hetmem/test-machines/outcome";

const PARAMETERS = "/sys/module/memory_hotplug/parameters";

const firstBlock = uintParameter("first_movable_block", 33);

/** Movable from a block on that a parameter names. */
const fromBlock: OnlinePolicy = {
  name: "from-block",
  parameters: [firstBlock],
  zoneFor({ memory, parameters }, request) {
    const block = request.start / request.pages;
    return block < parameters.get(firstBlock)
      ? defaultKernelZone(memory, request)
      : zoneOfNode(memory, request.node, ZoneType.Movable);
  },
};

interface PolicyMachine extends HotplugMachine {
  read(file: string): string;
  write(file: string, text: string): string;
  defaults(): string[];
}

/** A machine with three blocks offline, 32 to 34, and the files of the module. */
function machineWith(policies: OnlinePolicies): PolicyMachine {
  const machine = hotplugMachine({ placement: (groups) => onlinePolicyPlacement(policies, groups) });
  for (let i = 0; i < 3; i++) machine.add(4 * GiB + i * 128 * MiB);
  const vfs = new Vfs();
  vfs.mount(memoryHotplugParameters(policies, false));
  return {
    ...machine,
    read: (file) => run(vfs.read(`${PARAMETERS}/${file}`)),
    write: (file, text) => outcome(() => run(vfs.write(`${PARAMETERS}/${file}`, text))),
    defaults: () =>
      [32, 33, 34].map((id) => validZones(machine.hotplug, machine.hotplug.block(id))[0]?.name ?? "none"),
  };
}

test("the first policy is in force, and a write of a name puts another in force", () => {
  const machine = machineWith(new OnlinePolicies([contigZones, autoMovable, fromBlock]));
  expect(machine.read("online_policy")).toBe("contig-zones\n");
  expect(machine.defaults()).toEqual(["Normal", "Normal", "Normal"]);
  expect(machine.write("online_policy", "from-block\n")).toBe("done");
  expect(machine.read("online_policy")).toBe("from-block\n");
  expect(machine.defaults()).toEqual(["Normal", "Movable", "Movable"]);
  machine.online(33, "online");
  expect(machine.hotplug.block(33).zone?.name).toBe("Movable");
});

test("one's own policy is the default when it is the first", () => {
  expect(machineWith(new OnlinePolicies([fromBlock, contigZones])).read("online_policy")).toBe(
    "from-block\n",
  );
});

test("a parameter of a policy is a file, which the policy reads", () => {
  const machine = machineWith(new OnlinePolicies([fromBlock]));
  expect(machine.read("first_movable_block")).toBe("33\n");
  expect(machine.write("first_movable_block", "0x22\n")).toBe("done");
  expect(machine.read("first_movable_block")).toBe("34\n");
  expect(machine.defaults()).toEqual(["Normal", "Normal", "Movable"]);
  expect(machine.write("first_movable_block", "many\n")).toBe("EINVAL");
  expect(machine.read("first_movable_block")).toBe("34\n");
});

test("the parameters of a policy that the machine lacks are no files", () => {
  const machine = machineWith(new OnlinePolicies([contigZones]));
  expect(outcome(() => machine.read("auto_movable_ratio"))).toBe("ENOENT");
  expect(machine.write("online_policy", "auto-movable\n")).toBe("EINVAL");
});

test("an unknown name is EINVAL that lists the policies, and the policy stays", () => {
  const policies = new OnlinePolicies([contigZones, fromBlock]);
  const machine = machineWith(policies);
  for (const text of ["contig", "contig-zones \n", "from-block\n\n"])
    expect(machine.write("online_policy", text)).toBe("EINVAL");
  expect(machine.read("online_policy")).toBe("contig-zones\n");
  expect(() => policies.choose("best")).toThrow('"best" is not a policy: write contig-zones or from-block');
});

test("parameters of two machines are their own", () => {
  const [one, other] = [
    machineWith(new OnlinePolicies([autoMovable])),
    machineWith(new OnlinePolicies([autoMovable])),
  ];
  one.write("auto_movable_ratio", "0");
  one.write("auto_movable_numa_aware", "n");
  expect([one.read("auto_movable_ratio"), one.read("auto_movable_numa_aware")]).toEqual(["0\n", "N\n"]);
  expect([other.read("auto_movable_ratio"), other.read("auto_movable_numa_aware")]).toEqual(["301\n", "Y\n"]);
});

test("online_kernel and online_movable don't ask the policy", () => {
  const asked: Pfn[] = [];
  const curious: OnlinePolicy = {
    name: "curious",
    zoneFor({ memory }, request) {
      asked.push(request.start);
      return zoneOfNode(memory, nodeId(0), ZoneType.Normal);
    },
  };
  const machine = machineWith(new OnlinePolicies([curious]));
  machine.online(32, "online_movable");
  machine.online(33, "online_kernel");
  expect(asked).toEqual([]);
  machine.online(34, "online");
  expect(asked).toEqual([34 * 32_768]);
});

test("an error in a machine's policy names the one in force", () => {
  const broken: OnlinePolicy = {
    ...fromBlock,
    name: "broken",
    zoneFor: () => zoneOfNode(hotplugMachine().memory, nodeId(0), ZoneType.Normal),
  };
  const machine = machineWith(new OnlinePolicies([contigZones, broken]));
  machine.write("online_policy", "broken");
  expect(() => machine.online(32, "online")).toThrow(
    'the placement policy "online-policy broken" answers online',
  );
});

test.each([
  ["no policy", [], "a machine needs an online policy"],
  [
    "two of one name",
    [contigZones, { ...fromBlock, name: "contig-zones" }],
    'two online policies are named "contig-zones"',
  ],
  [
    "a name of two words",
    [{ ...fromBlock, name: "from block" }],
    'the online policy "from block" has a name that is not one word',
  ],
  ["an empty name", [{ ...fromBlock, name: "" }], 'the online policy "" has a name that is not one word'],
  [
    "two parameters of one name",
    [autoMovable, { ...fromBlock, parameters: [uintParameter("auto_movable_ratio", 1)] }],
    'two parameters of memory_hotplug are named "auto_movable_ratio"',
  ],
  [
    "a parameter with the name of a file of the module",
    [{ ...fromBlock, parameters: [boolParameter("online_policy", true)] }],
    'two parameters of memory_hotplug are named "online_policy"',
  ],
])("%s is EINVAL", (_, policies: readonly OnlinePolicy[], sentence) => {
  expect(outcome(() => new OnlinePolicies(policies))).toBe("EINVAL");
  expect(() => new OnlinePolicies(policies)).toThrow(sentence);
});

test("a parameter that two policies share is one file", () => {
  const policies = new OnlinePolicies([autoMovable, { ...autoMovable, name: "auto-movable-too" }]);
  expect(policies.declared().map(({ name }) => name)).toEqual([
    "auto_movable_ratio",
    "auto_movable_numa_aware",
  ]);
});
