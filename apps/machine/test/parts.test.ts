// Parts of a machine: drivers and policies that a caller gives, in place of the profile's.
import type { DaxDriver } from "@hetmem/dax";
import { type Sleeps, run, SimulatedClock } from "@hetmem/kernel";
import { machineOfYaml } from "@hetmem/machine-spec";
import { uncharged } from "@hetmem/mm";
import { Shell } from "@hetmem/shell";
import { anyOrderPlacement, contigZones, type Placement } from "@hetmem/zone";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import type { MachineParts } from "../src/parts/machine-parts.ts";
import { PROFILES } from "../src/parts/profiles.ts";
import { PROGRAMS } from "../src/programs/index.ts";
import type { Programs } from "../src/programs/machine-program.ts";
import { openShell } from "../src/programs/open-shell.ts";

const SPEC = machineOfYaml(
  `
nodes:
  - { memory: 1G, cpus: 0 }
  - { }
hidden: [{ start: 4G, size: 1G }]
devices: [{ name: Soft Reserved, start: 8G, size: 1G, node: 1 }]
`,
  "parts.yaml",
  "v6.1",
);

function shellOf(parts: Partial<MachineParts>): (line: string) => string {
  const shell = new Shell(createMachine(SPEC, parts), PROGRAMS);
  return (line) => run(shell.execute(line)).output;
}

test("a machine without parts is made of its profile's, and says so", () => {
  expect(createMachine(SPEC).parts).toEqual(PROFILES["v6.1"]);
});

test("a part that was given is read back, also after a reboot", () => {
  const placement = () => anyOrderPlacement;
  const machine = createMachine(SPEC, { placement });
  machine.reboot();
  expect(machine.parts).toEqual({ ...PROFILES["v6.1"], placement });
});

test("a profile is spread, and one of its parts overridden", () => {
  const sh = shellOf({ ...PROFILES["v5.1"], memoryTiering: true });
  expect(sh("ls /sys/module/memory_hotplug")).toContain("No such file");
  expect(sh("ls /sys/devices/virtual/memory_tiering")).toContain("memory_tier4");
});

test("a placement of one's own decides the zone of a block", () => {
  const movableOnly: Placement = {
    ...anyOrderPlacement,
    name: "movable-only",
    zoneFor: (memory, type, request) =>
      type === "online_kernel" ? undefined : anyOrderPlacement.zoneFor(memory, "online_movable", request),
  };
  const sh = shellOf({ placement: () => movableOnly });
  sh("echo 0x100000000 > /sys/devices/system/memory/probe");
  expect(sh("cat /sys/devices/system/memory/memory32/valid_zones")).toBe("Movable\n");
  expect(sh("echo online_kernel > /sys/devices/system/memory/memory32/state")).toContain("Invalid argument");
  expect(
    sh(
      "echo online > /sys/devices/system/memory/memory32/state && cat /sys/devices/system/memory/memory32/valid_zones",
    ),
  ).toBe("Movable\n");
});

test("a driver of one's own gets the devices that it matches first", () => {
  const bound: string[] = [];
  const mine = (): DaxDriver => ({
    name: "mine",
    matchAlways: true,
    *probe({ name }): Sleeps<void> {
      bound.push(name);
    },
    *remove(): Sleeps<void> {},
  });
  const [, kmem] = PROFILES["v6.1"].daxDrivers;
  const sh = shellOf({ daxDrivers: kmem ? [mine, kmem] : [mine] });
  expect(bound).toEqual(["dax0.0"]);
  expect(sh("ls /sys/bus/dax/drivers")).toBe("kmem\nmine\n");
  expect(sh("readlink /sys/bus/dax/devices/dax0.0/driver")).toContain("/drivers/mine");
});

test("of two drivers with one name the first is registered, and the log has the other", () => {
  const mine = (): DaxDriver => ({ name: "kmem", *probe(): Sleeps<void> {}, *remove(): Sleeps<void> {} });
  const sh = shellOf({ daxDrivers: [mine, ...PROFILES["v6.1"].daxDrivers] });
  expect(
    sh(
      "echo dax0.0 > /sys/bus/dax/drivers/device_dax/unbind; echo dax0.0 > /sys/bus/dax/drivers/kmem/new_id; ls /sys/devices/system/memory | grep memory64",
    ),
  ).toBe("");
  expect(sh("dmesg | grep kmem")).toMatch(
    /kmem: the dax bus has a driver kmem already.*\n.*failed with error -16\n$/,
  );
});

test("charging of one's own is asked for each page of a process", () => {
  let pages = 0;
  const charging = {
    ...uncharged,
    tryCharge: (_mm: unknown, _page: unknown, count: number) => {
      pages += count;
      return true;
    },
  };
  const sh = shellOf({ charging: () => ({ charging }) });
  sh("ls /");
  expect(pages).toBeGreaterThan(0);
  expect(sh("cat /sys/fs/cgroup/cgroup.controllers")).toBe("");
});

test("a rule of udev that is given goes before those of the machine file", () => {
  const sh = shellOf({ udevRules: [{ device: "dax*", run: "echo given > /tmp/ran" }] });
  expect(sh("cat /tmp/ran")).toBe("given\n");
});

test("a clock of one's own is the machine's", () => {
  class LateClock extends SimulatedClock {
    override get nowNs(): number {
      return super.nowNs + 5e9;
    }
  }
  const machine = createMachine(SPEC, { clock: () => new LateClock() });
  expect(machine.kernel.clock.nowNs).toBeGreaterThanOrEqual(5e9);
});

test("a library's machine reboots from its shell", () => {
  const sh = shellOf({});
  sh("echo 0x100000000 > /sys/devices/system/memory/probe");
  expect(sh("reboot; ls /sys/devices/system/memory | grep -c memory32")).toBe("0\n");
});

/** As a caller from JavaScript: any object. */
function refusal(parts: object): string {
  try {
    createMachine(SPEC, parts);
    return "accepted";
  } catch (error) {
    return String(error);
  }
}

test.each([
  [
    { placment: () => anyOrderPlacement },
    /EINVAL: a machine has no part "placment" \(did you mean placement\?\): the parts are /,
  ],
  [{ placement: 7 }, /EINVAL: parts\.placement is a number: give it a function that makes a Placement$/],
  [
    { placement: () => ({ zoneFor() {} }) },
    /EINVAL: parts\.placement made no Placement: its validZones\(\) is undefined$/,
  ],
  [{ placement: () => undefined }, /EINVAL: parts\.placement made undefined: it must make a Placement$/],
  [
    { daxDrivers: {} },
    /EINVAL: parts\.daxDrivers is an object: give it an array of functions that make a DaxDriver each$/,
  ],
  [
    { daxDrivers: [() => ({ name: "x", *remove() {} })] },
    /EINVAL: parts\.daxDrivers made no DaxDriver: its probe\(\) is undefined$/,
  ],
  [
    { onlinePolicies: ["auto-movable"] },
    /EINVAL: parts\.onlinePolicies is an array: give it an array of OnlinePolicy values \{ name, zoneFor \}$/,
  ],
  [
    { onlinePolicies: [contigZones, contigZones] },
    /EINVAL: two online policies are named "contig-zones": give each a name of its own$/,
  ],
  [{ daxSubsystem: "buss" }, /EINVAL: parts\.daxSubsystem is a string: give it "bus" or "class"$/],
  [{ charging: () => ({}) }, /EINVAL: parts\.charging made undefined: it must make a PageCharging$/],
  [{ swap: () => ({}) }, /EINVAL: parts\.swap made no Swap: its duplicate\(\) is undefined$/],
  [
    { pagemaps: { idle: {} } },
    /EINVAL: parts\.pagemaps is an object: give it a PagemapPolicies, with memoryTypes, /,
  ],
  [{ clock: null }, /EINVAL: parts\.clock is null: give it a function that makes a Clock$/],
])("a wrong part is refused with the port that it should be: %o", (parts, sentence) => {
  expect(refusal(parts)).toMatch(sentence);
});

test("a wrong part is an error of TypeScript", () => {
  // @ts-expect-error a Placement has zoneFor() and validZones()
  const wrong: Partial<MachineParts> = { placement: () => ({ name: "none" }) };
  // @ts-expect-error the name of a part
  const unknown: Partial<MachineParts> = { placements: () => anyOrderPlacement };
  expect([refusal(wrong), refusal(unknown)]).not.toContain("accepted");
});

test("a program of the parts is called in the machine's shell, in place of a standard one of its name", () => {
  const greet: Programs[string] = {
    summary: "greet the machine",
    *run(io) {
      io.out(`${io.name} on ${io.machine.spec.release}\n`);
      return 3;
    },
  };
  const shell = openShell(createMachine(SPEC, { programs: { greet, lsmem: greet } }));
  for (const command of ["greet", "lsmem"])
    expect(run(shell.execute(command))).toMatchObject({
      output: `${command} on ${SPEC.release}\n`,
      status: 3,
    });
  expect(run(shell.execute("daxctl list")).status).toBe(0);
});
