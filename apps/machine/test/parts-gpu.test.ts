// Drivers of gpus and migration policies that a caller gives: which driver drives a device, what the log says, and how a policy is
// found that the machine file names.
import { runRivals } from "@hetmem/explore";
import { Gpu, gpuDriver } from "@hetmem/gpu";
import {
  type GpuDriver,
  mapInPlace,
  type MigrationPolicy,
  migrateOnTouch,
  standardMigrationPolicies,
} from "@hetmem/gpu/driver";
import { assertInvariants, KernelError, run, type Sleeps } from "@hetmem/kernel";
import { machineOfYaml, type MachineSpec } from "@hetmem/machine-spec";
import { vmInvariants } from "@hetmem/mm";
import { Shell } from "@hetmem/shell";
import { describe, expect, test } from "vitest";
import { tinyGpuDriver } from "../../../packages/driver-kit/examples/tiny-gpu-driver.ts";
import { createMachine, type Machine } from "../src/machine.ts";
import type { MachineParts } from "../src/parts/machine-parts.ts";
import { PROGRAMS } from "../src/programs/index.ts";

function specOf(gpus: string): MachineSpec {
  return machineOfYaml(
    `nodes:\n  - { memory: { start: 0, end: 256M }, cpus: 0 }\ngpus:\n${gpus}`,
    "gpus.yaml",
    "v6.1",
  );
}

interface Typed {
  readonly machine: Machine;
  readonly sh: (line: string) => string;
}

/** With a process `a` whose mapping of 64 KiB begins at 0x10000000. */
function bootWith(parts: Partial<MachineParts>, gpus: string | MachineSpec = "  - { size: 1M }\n"): Typed {
  const machine = createMachine(typeof gpus === "string" ? specOf(gpus) : gpus, parts);
  const shell = new Shell(machine, PROGRAMS);
  const sh = (line: string): string => run(shell.execute(line)).output;
  sh("proc start a; proc mmap $(pidof a) 64K --at 0x10000000; proc write $(pidof a) 0x10000000 'of the cpu'");
  return { machine, sh };
}

function driver(name: string, parts: Partial<GpuDriver> = {}): GpuDriver {
  return { ...gpuDriver, name, ...parts };
}

function driversOf({ machine }: Typed): string[] {
  return Array.from(machine.devices.gpus.all.values(), (gpu) => `${gpu.name}: ${gpu.driver.name}`);
}

test("the first driver that matches a device drives it", () => {
  const small = driver("small", { match: ({ size }) => size < 4 * 2 ** 20 });
  const all = driver("all");
  const gpus = "  - { size: 1M }\n  - { size: 8M }\n";
  expect(driversOf(bootWith({ gpuDrivers: [small, all] }, gpus))).toEqual(["gpu0: small", "gpu1: all"]);
  expect(driversOf(bootWith({ gpuDrivers: [all, small] }, gpus))).toEqual(["gpu0: all", "gpu1: all"]);
});

test("where the probe of one fails, the next driver that matches is tried, and the log has both", () => {
  const first = driver("first", {
    *probe() {
      throw new KernelError("ENODEV", "its firmware is too old");
    },
  });
  const typed = bootWith({ gpuDrivers: [first, driver("second")] });
  expect(driversOf(typed)).toEqual(["gpu0: second"]);
  const log = typed.sh("dmesg");
  expect(log).toContain("first gpu0: its firmware is too old\n");
  expect(log).toContain("first: probe of gpu0 failed with error -19\n");
  expect(log).toContain("gpu0: 1M of MEMORY_DEVICE_PRIVATE at");
});

test.each([
  ["none", []],
  ["one for other devices", [driver("other", { match: ({ memory }) => memory === "coherent" })]],
])("with %s, no driver takes the device, and the log says so", (_what, gpuDrivers) => {
  const typed = bootWith({ gpuDrivers });
  expect(typed.sh("dmesg")).toContain("gpu0: no driver took it: pass one that matches it in gpuDrivers\n");
  expect(typed.sh("gpu stats")).toBe("gpu: this machine has no gpu\n");
  expect(typed.sh("ls /sys/kernel/debug/gpu0")).toContain("No such file");
  expect(typed.sh("proc mmap $(pidof a) 4K --shared --file /dev/gpu0")).toContain("No such file");
});

test("a driver binds its devices again after a reboot", () => {
  let probes = 0;
  const mine = driver("mine", {
    probe(host, device) {
      probes++;
      return gpuDriver.probe(host, device);
    },
  });
  const typed = bootWith({ gpuDrivers: [mine] });
  typed.sh("gpu migrate $(pidof a) 0x10000000 64K");
  typed.machine.reboot();
  expect(probes).toBe(2);
  expect(typed.machine.devices.gpus.all.get("gpu0")?.device.memory?.usedPages).toBe(0);
});

const onWrite: MigrationPolicy = {
  ...migrateOnTouch,
  name: "on-write",
  onMiss: ({ start, end, write }) => (write ? { start, end } : undefined),
};

/** Reads a page with the device, then writes another. @returns the pages in its memory after each */
function usedAfterReadAndWrite({ machine, sh }: Typed): (number | undefined)[] {
  const used = (): number | undefined => machine.devices.gpus.all.get("gpu0")?.device.memory?.usedPages;
  sh("gpu run gpu0 $(pidof a) read 0x10000000 4K");
  const read = used();
  sh("gpu run gpu0 $(pidof a) write 0x10001000 4K x");
  assertInvariants(machine.vm, vmInvariants);
  return [read, used()];
}

test("a machine file names a policy that the caller gave", () => {
  const gpuPolicies = [...standardMigrationPolicies, onWrite];
  const typed = bootWith({ gpuPolicies }, "  - { size: 1M, policy: on-write }\n");
  expect(typed.sh("cat /sys/kernel/debug/gpu0/policy")).toBe("on-write\n");
  expect(usedAfterReadAndWrite(typed)).toEqual([0, 1]);
});

test("a specification made in code has a policy of its own, which no list has", () => {
  const spec = specOf("  - { size: 1M }\n");
  const gpus = (spec.gpus ?? []).map((gpu) => ({ ...gpu, policy: onWrite }));
  expect(usedAfterReadAndWrite(bootWith({ gpuPolicies: [] }, { ...spec, gpus }))).toEqual([0, 1]);
});

test("the first policy is that of a gpu for which none is named, and without policies the driver chooses", () => {
  expect(usedAfterReadAndWrite(bootWith({ gpuPolicies: [onWrite, mapInPlace] }))).toEqual([0, 1]);
  expect(usedAfterReadAndWrite(bootWith({ gpuPolicies: [] }))).toEqual([0, 0]);
});

test("a family makes a policy for each device that names it", () => {
  const made: string[] = [];
  const named = (name: string): MigrationPolicy => {
    made.push(name);
    return { ...onWrite, name };
  };
  bootWith(
    { gpuPolicies: [{ example: "mine-3", named }] },
    "  - { size: 1M, policy: mine-4 }\n  - { size: 1M, policy: mine-4 }\n",
  );
  expect(made).toEqual(["mine-4", "mine-4"]);
});

test("a name that no policy of the machine has is EINVAL when the machine is made, with the nearest", () => {
  const gpuPolicies = [mapInPlace, onWrite];
  const gpus = "  - { size: 1M, policy: on-wite }\n";
  expect(() => bootWith({ gpuPolicies }, gpus)).toThrow(
    'EINVAL: "on-wite" is no migration policy of this machine (did you mean on-write?): write map-in-place, on-write',
  );
});

test("wrong parts are refused with the port that they should be", () => {
  const wrong = (parts: object): string => {
    try {
      createMachine(specOf("  - { size: 1M }\n"), parts);
    } catch (error) {
      return String(error);
    }
    return "accepted";
  };
  expect(wrong({ gpuDrivers: [Gpu] })).toContain(
    "EINVAL: parts.gpuDrivers is an array: give it an array of GpuDrivers, each with name, match() and probe()",
  );
  expect(wrong({ gpuPolicies: [{ name: "half", onMiss: () => undefined }] })).toContain(
    "EINVAL: parts.gpuPolicies is an array: give it an array of MigrationPolicies, each with name,",
  );
  expect(wrong({ gpuDrivers: [{ ...gpuDriver, *probe() {} }] })).toContain(
    "EINVAL: parts.gpuDrivers made undefined: it must make a GpuDevice",
  );
  // @ts-expect-error a driver without probe() is no GpuDriver
  const half: GpuDriver = { name: "half", match: () => true };
  expect(wrong({ gpuDrivers: [half] })).toContain("EINVAL: parts.gpuDrivers");
});

describe("a driver of one's own, which shares nothing with the reference device", () => {
  const gpuDrivers = [tinyGpuDriver(), gpuDriver];
  const gpus = "  - { size: 64K }\n  - { size: 2M, memory: coherent }\n";

  test("takes the devices that it is for, and leaves the others", () => {
    const typed = bootWith({ gpuDrivers }, gpus);
    expect(driversOf(typed)).toEqual(["gpu0: tiny", "gpu1: gpu"]);
    expect(typed.sh("dmesg | grep -E 'gpu[01]: '")).toMatch(
      /gpu0: 64K of private memory\n.*gpu1: 2M of MEMORY_DEVICE_COHERENT at \[mem .*\], map-in-place\n$/,
    );
  });

  test("computes, moves pages there and back, and is emptied, by the program gpu", () => {
    const { machine, sh } = bootWith({ gpuDrivers }, gpus);
    expect(sh("gpu run gpu0 $(pidof a) read 0x10000000 10")).toContain("of the cpu");
    expect(sh("gpu migrate $(pidof a) 0x10000000 32K --gpu gpu0")).toBe("8\n");
    sh("gpu run gpu0 $(pidof a) write 0x10000000 6K 'by the gpu '");
    expect(sh("gpu stats --gpu gpu0")).toMatch(
      /^gpu0: running, 64K of private memory at 0x[0-9a-f]+\n {2}used 8 pages, free 8\n {2}mirrors 2 pages of process \d+ \(a\)\n$/,
    );
    expect(sh("gpu evict --gpu gpu0")).toBe("8\n");
    expect(sh("proc read $(pidof a) 0x10000000 10")).toContain("by the gpu");
    assertInvariants(machine.vm, vmInvariants);
  });

  test.each([
    ["gpu run gpu0 $(pidof a) add 0x10000000 4", "Inappropriate ioctl for device", "tiny has no atomicAdd()"],
    [
      "gpu migrate $(pidof a) 0x10000000 4K --back --gpu gpu0",
      "Inappropriate ioctl for device",
      "tiny has no migrateBack()",
    ],
    ["gpu snapshot $(pidof a) 0x10000000 4K --gpu gpu0", "Inappropriate ioctl for device", "no snapshot()"],
    ["gpu reset --gpu gpu0", "Operation not supported", "tiny has no reset()"],
    ["gpu kill --gpu gpu0", "Operation not supported", "tiny has no fallOff()"],
    ["proc mmap $(pidof a) 4K --shared --file /dev/gpu0", "No such device", "its driver has no mmap()"],
    ["cat /sys/kernel/debug/gpu0/state", "No such file or directory", ""],
  ])("%s: %s", (line, errno, sentence) => {
    const { machine, sh } = bootWith({ gpuDrivers }, gpus);
    const output = sh(line);
    expect(output).toContain(errno);
    expect(output).toContain(sentence);
    assertInvariants(machine.vm, vmInvariants);
  });

  test("its refusal to serve a second process is an errno of the request, until the first ends", () => {
    const { machine, sh } = bootWith({ gpuDrivers }, gpus);
    sh("gpu migrate $(pidof a) 0x10000000 4K --gpu gpu0");
    sh("proc start b; proc mmap $(pidof b) 64K --at 0x10000000; proc write $(pidof b) 0x10000000 second");
    const request = "gpu run gpu0 $(pidof b) read 0x10000000 6";
    expect(sh(request)).toContain("Device or resource busy\n    gpu0 serves another process: end it\n");
    sh("kill $(pidof a)");
    const gpu = machine.devices.gpus.all.get("gpu0");
    expect([gpu?.contexts.size, gpu?.device.memory?.usedPages]).toEqual([0, 0]);
    expect(sh(request)).toContain("second");
    assertInvariants(machine.vm, vmInvariants);
  });

  test(
    "needs not heed the end of a process: its context is closed after the last request",
    { timeout: 600_000 },
    () => {
      const report = runRivals(
        () => {
          const { machine, sh } = bootWith({ gpuDrivers }, gpus);
          const pid = sh("pidof a").trim();
          const typing = function* (...lines: string[]): Sleeps<void> {
            const shell = new Shell(machine, PROGRAMS);
            // The process may be gone, and nothing else goes wrong.
            for (const line of lines)
              expect((yield* shell.execute(line)).output).toMatch(/^(\d*\n)?$|: No such process\n/);
          };
          return {
            kernel: machine.kernel,
            tasks: {
              computing: () => typing(`gpu run gpu0 ${pid} write 0x10000000 64K abc`),
              moving: () => typing(`gpu migrate ${pid} 0x10000000 8K --gpu gpu0`),
              ending: () => typing(`proc exit ${pid}`),
            },
            afterStep: () => {},
            afterwards: () => {
              run(typing(`kill ${pid}`));
              const gpu = machine.devices.gpus.all.get("gpu0");
              expect([gpu?.contexts.size, gpu?.device.memory?.usedPages]).toEqual([0, 0]);
              expect(sh("grep -c tiny /proc/iomem")).toMatch(/^[01]\n/);
              assertInvariants(machine.vm, vmInvariants);
            },
          };
        },
        { schedules: 25 },
      );
      expect([...report.endings.keys()].sort()).toEqual(["computing: done", "ending: done", "moving: done"]);
    },
  );
});
