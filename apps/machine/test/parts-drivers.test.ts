// Drivers, charging and pagemap policies of a user's own in a machine: the programs of the shell work with them through /sys, as
// they do with those of the profile.
import { KernelBug, MiB, nodeId, PAGE_SIZE, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { machineOfYaml } from "@hetmem/machine-spec";
import { allocMm, chargeByPayer, MapFlag, mmap, Prot, touchUser } from "@hetmem/mm";
import { Shell } from "@hetmem/shell";
import { expect, test } from "vitest";
import { TinyKmem } from "../../../packages/driver-kit/examples/tiny-kmem.ts";
import { createMachine, type Machine } from "../src/machine.ts";
import { deviceDax } from "../src/parts/dax-drivers.ts";
import type { MachineParts } from "../src/parts/machine-parts.ts";
import { PROFILES } from "../src/parts/profiles.ts";
import { PROGRAMS } from "../src/programs/index.ts";

const SPEC = machineOfYaml(
  `
nodes:
  - { memory: 1G, cpus: 0 }
  - { }
devices: [{ name: Soft Reserved, start: 8G, size: 256M, node: 1 }]
`,
  "drivers.yaml",
  "v6.1",
);
const V6_1 = PROFILES["v6.1"];
/** The payer of a process, and the pages that it may have. */
const PAYER = 7;
const LIMIT = 100;

interface Session {
  readonly machine: Machine;
  /** Runs a line. @returns what it prints, and its status unless that is 0 */
  sh(line: string): string;
}

function sessionOf(parts: Partial<MachineParts>): Session {
  const machine = createMachine(SPEC, parts);
  const shell = new Shell(machine, PROGRAMS);
  return {
    machine,
    sh(line) {
      const { output, status } = run(shell.execute(line));
      return status === 0 ? output : `${output}status ${status}\n`;
    },
  };
}

/** A kmem that isn't ours. */
class MyKmem extends TinyKmem {
  override readonly name = "kmem";
}

const LIST = "daxctl list | grep -E 'mode|memblocks'";

test("daxctl lists, reconfigures, onlines and offlines memory of a kmem of one's own", () => {
  const { sh } = sessionOf({ daxDrivers: [deviceDax, ({ pagemaps }) => new MyKmem(pagemaps.hotplug)] });
  expect(sh(LIST)).toBe('    "mode":"devdax"\n');
  expect(sh("daxctl reconfigure-device -m system-ram dax0.0 | grep mode")).toBe(
    'reconfigured 1 device\n    "mode":"system-ram",\n',
  );
  expect(sh("grep -A1 dax0.0 /proc/iomem")).toBe(
    "    200000000-20fffffff : dax0.0\n      200000000-20fffffff : System RAM\n",
  );
  expect(sh("daxctl offline-memory dax0.0")).toBe("offlined memory for 1 device\n");
  expect(sh(LIST)).toContain('"online_memblocks":0');
  expect(sh("daxctl online-memory dax0.0")).toBe("onlined memory for 1 device\n");
  expect(sh(LIST)).toContain('"online_memblocks":2');
  expect(sh("daxctl reconfigure-device -m devdax dax0.0")).toContain("error reconfiguring devices");
  expect(sh("daxctl reconfigure-device -f -m devdax dax0.0 | grep mode")).toContain('"mode":"devdax"');
  expect(sh("readlink /sys/bus/dax/devices/dax0.0/driver")).toMatch(/\/device_dax$/m);
});

test("a driver with a name of its own is bound through /sys, and daxctl, which knows modes by names, disables it", () => {
  const { sh } = sessionOf({ daxDrivers: [deviceDax, ({ pagemaps }) => new TinyKmem(pagemaps.hotplug)] });
  expect(sh("ls /sys/bus/dax/drivers")).toBe("device_dax\ntiny_kmem\n");
  expect(sh("daxctl reconfigure-device -m system-ram dax0.0")).toContain("No such file or directory");
  sh("echo dax0.0 > /sys/bus/dax/drivers/tiny_kmem/new_id");
  expect(sh("readlink /sys/bus/dax/devices/dax0.0/driver")).toMatch(/\/tiny_kmem$/m);
  expect(sh("ls /sys/devices/system/memory | grep -c 'memory6[45]'")).toBe("2\n");
  expect(sh("daxctl online-memory dax0.0")).toContain("not applicable in devdax mode");
  expect(sh("daxctl disable-device dax0.0")).toBe("disabled 1 device\n");
  expect(sh("grep -c dax0.0 /proc/iomem")).toContain("0\n");
});

test("accounts of one's own limit a process, and get everything back", () => {
  const used = new Map<number, number>([[PAYER, 0]]);
  const charging = chargeByPayer({
    tryCharge(payer, pages) {
      if (payer === PAYER && usage(payer) + pages > LIMIT) return false;
      used.set(payer, usage(payer) + pages);
      return true;
    },
    uncharge: (payer, pages) => void used.set(payer, usage(payer) - pages),
  });
  function usage(payer: number): number {
    return used.get(payer) ?? 0;
  }
  const { machine } = sessionOf({ charging: () => ({ charging }) });
  const { signo, touched } = run(touchUntilKilled(machine));
  expect(signo).toBe("SIGKILL");
  // The others are its page tables.
  expect(touched).toBeGreaterThan(LIMIT - 8);
  expect(touched).toBeLessThan(LIMIT);
  expect(usage(PAYER)).toBe(0);
});

test("a collision policy of one's own decides which pagemaps fit", () => {
  const { collision } = V6_1.pagemaps;
  let asked = 0;
  const mine: typeof collision = {
    unit: "subsection of mine",
    align(range) {
      asked++;
      return collision.align(range);
    },
  };
  const { sh } = sessionOf({ pagemaps: { ...V6_1.pagemaps, collision: mine } });
  expect(asked).toBeGreaterThan(0);
  expect(sh("daxctl list -d dax0.0 | grep mode")).toContain("devdax");
});

/** A process of PAYER that writes to pages until it gets a signal, which ends it. */
function* touchUntilKilled({ vm }: Machine): Sleeps<{ signo: string | undefined; touched: number }> {
  const mm = allocMm(vm, nodeId(0), 0, PAYER);
  if (mm === undefined) throw new KernelBug("the machine has no room for a process");
  const process = vm.processes.add("mine", mm, undefined);
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
  const start = yield* mmap(mm, { length: MiB, prot: Prot.READ | Prot.WRITE, flags });
  for (let touched = 0; touched < MiB / PAGE_SIZE; touched++) {
    const signal = yield* touchUser(process, (start + touched * PAGE_SIZE) as VirtAddr);
    if (signal !== undefined) return { signo: signal.signo, touched };
  }
  return { signo: undefined, touched: MiB / PAGE_SIZE };
}
