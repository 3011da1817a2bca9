// Parts of a machine: drivers and policies that a caller gives, in place of the profile's.
import type { DaxDriver } from "@hetmem/dax";
import { KernelError, run, SimulatedClock, type Sleeps } from "@hetmem/kernel";
import { machineOfYaml } from "@hetmem/machine-spec";
import { uncharged } from "@hetmem/mm";
import { Shell } from "@hetmem/shell";
import { anyOrderPlacement, contigZones, type Placement } from "@hetmem/zone";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import type { MachineParts } from "../src/parts/machine-parts.ts";
import { memcgCharging, noCharging } from "../src/parts/memcg-charging.ts";
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

test("a spread profile is the release: options of the specification remove parts of it, and none of the caller's", () => {
  const yaml = "nodes: [{ memory: 256M, cpus: 0 }]\noptions: { kconfig: [MEMCG=n, SWAP=n] }\n";
  const spec = machineOfYaml(yaml, "spread.yaml", "v6.1");
  const swap = PROFILES["v6.1"].swap;
  const { parts } = createMachine(spec, { ...PROFILES["v5.1"], swap: (vm) => swap(vm) });
  expect([parts.config.has("MEMCG"), parts.config.has("SWAP")]).toEqual([false, false]);
  expect(parts.charging).toBe(noCharging);
  expect(parts.memoryTiering).toBe(false);
  expect(parts.swap).not.toBe(swap);
  expect(createMachine(spec, { charging: memcgCharging }).parts.charging).toBe(memcgCharging);
});

test("an option that the spread profile has not is refused by the name of that profile", () => {
  const yaml =
    "nodes: [{ memory: 256M, cpus: 0 }]\noptions: { kconfig: [MEMORY_HOTPLUG, SPARSEMEM_VMEMMAP, MHP_MEMMAP_ON_MEMORY] }\n";
  const spec = machineOfYaml(yaml, "spread.yaml", "v6.1");
  expect(() => createMachine(spec, { ...PROFILES["v5.1"] })).toThrow(
    /^EINVAL: the kernel of profile v5\.1 has no CONFIG_MHP_MEMMAP_ON_MEMORY/,
  );
});

test("profiles can't be changed: one machine's parts are not another's", () => {
  const parts: object = PROFILES["v6.1"];
  expect(Reflect.set(parts, "daxDrivers", [])).toBe(false);
  expect(Reflect.set(PROFILES["v6.1"].daxDrivers, "0", undefined)).toBe(false);
  const { config } = createMachine(SPEC).parts;
  (config as Set<string>).delete("MEMCG");
  expect(createMachine(SPEC).parts).toEqual(PROFILES["v6.1"]);
});

test("each part is read once, so that what was checked is what is used", () => {
  let reads = 0;
  const parts = {
    get placement() {
      reads++;
      return () => anyOrderPlacement;
    },
  };
  createMachine(SPEC, parts);
  expect(reads).toBe(1);
});

test("a part that fails at a reboot leaves the machine as it ran", () => {
  let boots = 0;
  const clock = () => {
    if (boots++ > 0) throw new KernelError("ENODEV", "the clock is gone");
    return new SimulatedClock();
  };
  const machine = createMachine(SPEC, { clock });
  const { vm } = machine;
  expect(() => machine.reboot()).toThrow("ENODEV: the clock is gone");
  expect(machine.vm).toBe(vm);
  expect(run(openShell(machine).execute("lsmem > /dev/null")).status).toBe(0);
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
  [
    { charging: () => ({ charging: uncharged, controller: {} }) },
    /EINVAL: parts\.charging made no ChargingController: its subsystem\(\) is undefined$/,
  ],
  // oxlint-disable-next-line no-sparse-arrays
  [{ daxDrivers: [, PROFILES["v6.1"].daxDrivers[0]] }, /EINVAL: parts\.daxDrivers is an array: give it /],
  [
    { daxDrivers: [() => ({ *probe() {}, *remove() {} })] },
    /EINVAL: parts\.daxDrivers made no DaxDriver: its name is undefined$/,
  ],
  [{ clock: SimulatedClock }, /EINVAL: parts\.clock is a class: give it a function that makes a Clock$/],
  [
    { clock: () => ({ advance() {}, *sleep() {} }) },
    /EINVAL: parts\.clock made no Clock: its nowNs is undefined$/,
  ],
  [
    { pagemaps: { ...PROFILES["v6.1"].pagemaps, idle: 1 } },
    /EINVAL: parts\.pagemaps is an object: give it a PagemapPolicies, with memoryTypes, /,
  ],
  [
    { bindPolicy: { answer: 1 } },
    /EINVAL: parts\.bindPolicy is an object: give it a BindPolicy, with answer$/,
  ],
  [{ pfnLayout: { altmapUnit: 1 } }, /EINVAL: .* give it a PfnLayoutPolicy, with altmapUnit, layOut$/],
  [{ gupTest: { file: "a" } }, /EINVAL: .* give it a GupTestPolicy, with file, operations$/],
  [{ gpuPolicies: [{ named() {} }] }, /EINVAL: .* or families of them, each with example and named\(\)$/],
  [{ autoOnlineTypes: ["on"] }, /EINVAL: .* give it an array of online types$/],
  [{ udevRules: [{ device: 7, run: "true" }] }, /EINVAL: .* give it an array of rules \{ device, run \}$/],
  [{ programs: { greet: { summary: "greet" } } }, /EINVAL: .* programs by name, each with run and summary$/],
  [
    { config: new Set(["CONFIG_MEMGC"]) },
    /EINVAL: parts\.config has "CONFIG_MEMGC" \(did you mean MEMCG\?\): /,
  ],
  [
    { config: new Set(["DEV_DAX_KMEM"]) },
    /EINVAL: parts\.config: CONFIG_DEV_DAX_KMEM needs CONFIG_DEV_DAX, /,
  ],
  [[], /EINVAL: the parts are an array: give an object with parts by name$/],
  [{ clock: null }, /EINVAL: parts\.clock is null: give it a function that makes a Clock$/],
])("a wrong part is refused with the port that it should be: %o", (parts, sentence) => {
  expect(refusal(parts)).toMatch(sentence);
});

test("parts that are none, and a profile that is none, are refused", () => {
  // @ts-expect-error from JavaScript
  expect(() => createMachine(SPEC, null)).toThrow(/^EINVAL: the parts are null: /);
  // @ts-expect-error from JavaScript
  expect(() => createMachine({ ...SPEC, profile: "v6.2" })).toThrow(
    /^EINVAL: the specification has the profile v6\.2: write one of v4\.14, v5\.1, v6\.1$/,
  );
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
