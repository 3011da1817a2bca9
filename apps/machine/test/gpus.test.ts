// Gpus of a machine: what a file may say of them, what is there after a boot and after the next, and how `gpu` is called.
import { assertInvariants, run } from "@hetmem/kernel";
import { Gpu, gpuInvariants } from "@hetmem/gpu";
import { vmInvariants } from "@hetmem/mm";
import { describe, expect, test } from "vitest";
import type { Machine } from "../src/machine.ts";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml, type ProfileName } from "@hetmem/machine-spec";
import { Shell, type ShellResult } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

const NODES = "physical_bits: 40\nnodes:\n  - { memory: { start: 0, end: 256M }, cpus: 0 }\n";
const ONE = "gpus:\n  - { size: 1M }\n";
const TWO =
  "gpus:\n  - { size: 1M, policy: prefetch-64K }\n  - { name: fast, memory: coherent, size: 2M, start: 4G, latency: { setup_ns: 5, kib_ns: 1, flush_ns: 2 } }\n";

interface Typed {
  readonly machine: Machine;
  sh(line: string): ShellResult;
}

function boot(gpus: string, profile: ProfileName = "v6.1"): Typed {
  const machine = createMachine(machineOfYaml(`${NODES}${gpus}`, "gpus.yaml", profile));
  const shell = new Shell(machine, PROGRAMS);
  return { machine, sh: (line) => run(shell.execute(line)) };
}

/** With a process `a` whose mapping of 64 KiB begins at 0x10000000. */
function bootWithProcess(gpus: string, profile?: ProfileName): Typed {
  const typed = boot(gpus, profile);
  typed.sh(
    "proc start a; proc mmap $(pidof a) 64K --at 0x10000000; proc write $(pidof a) 0x10000000 'of the cpu'",
  );
  return typed;
}

function complaint(gpu: string): string {
  try {
    machineOfYaml(
      `${NODES}gpus:\n  - ${gpu}\n  - { name: gpu7, memory: coherent, size: 2M, start: 4G }\n`,
      "m.yaml",
    );
  } catch (error) {
    return String(error).replace("KernelError: EINVAL: ", "");
  }
  return "accepted";
}

describe("a machine file", () => {
  test.each([
    ["{ size: 1M, policy: migrate-after-3, latency: pcie, node: 0 }", "accepted"],
    ["{ size: 6K }", "m.yaml:5: gpus[0].size: a gpu has whole pages of memory; use a multiple of 4K"],
    ["{ name: ../x, size: 1M }", "can't be the name of a file in /dev; use small letters, digits, - and _"],
    ["{ name: gpu7, size: 1M }", "m.yaml:6: gpus[1].name: gpu7 is there already; give each gpu its own name"],
    ["{ size: 1M, memory: public }", '"public" is not known; write private or coherent'],
    ["{ size: 1M, node: 3 }", "there is no node 3; add it to nodes"],
    ["{ size: 2M, start: 8G }", "private memory has no address before the machine boots; leave start out"],
    [
      "{ size: 1M, memory: coherent, start: 8G }",
      "memory that has a place begins and ends at multiples of 2M",
    ],
    ["{ size: 2M, memory: coherent, start: 64M }", "64M-66M overlaps System RAM at 1M-256M"],
    ["{ size: 4M, memory: coherent, start: 4094M }", "gpus[1]: 4G-4098M overlaps gpu0 at 4094M"],
    ["{ size: 2M, memory: coherent, start: 4G }", "overlaps gpu0 at 4G"],
    ["{ size: 2M, memory: coherent, start: 1T }", "past the top of the physical address space (40 bits)"],
  ])("with a gpu %s", (gpu, sentence) => {
    expect(complaint(gpu)).toContain(sentence);
  });
});

describe("after a boot", () => {
  test("private memory is at the top of the physical space, and coherent memory where the firmware put it", () => {
    const { sh } = boot(TWO);
    expect(sh("grep -E 'gpu0|fast' /proc/iomem").stdout).toBe(
      "100000000-1001fffff : fast\nfff8000000-ffffffffff : gpu0\n",
    );
    expect(sh("dmesg | grep gpu0").stdout).toContain(
      "gpu0: 1M of MEMORY_DEVICE_PRIVATE at [mem 0xfff8000000-0xfff80fffff], prefetch-64k\n",
    );
    expect(sh("cat /sys/kernel/debug/fast/memory").stdout).toBe("coherent at 0x100000000 2097152\nused 0\n");
  });

  test.each([
    ["v4.14", "PUBLIC"],
    ["v5.1", "PUBLIC"],
    ["v6.1", "COHERENT"],
  ] as const)("coherent memory is of the kind that %s has: %s", (profile, kind) => {
    const { sh } = bootWithProcess(TWO, profile);
    expect(sh("dmesg | grep fast").stdout).toContain(`MEMORY_DEVICE_${kind}`);
    expect(sh("gpu migrate $(pidof a) 0x10000000 64K --gpu fast").stdout).toBe("16\n");
    expect(sh("proc read $(pidof a) 0x10000000 10").stdout).toContain("of the cpu");
    expect(sh("grep used /sys/kernel/debug/fast/memory").stdout).toBe("used 65536\n");
  });

  test.each(["prefetch-5", "migrate-after-0", "mapinplace"])("no machine has a policy %s", (policy) => {
    expect(() => boot(`gpus:\n  - { size: 1M, policy: ${policy} }\n`)).toThrow(
      `EINVAL: "${policy}" is no migration policy of this machine (did you mean `,
    );
  });

  test("a gpu whose memory finds no place isn't there, and the log says so", () => {
    const { sh } = boot("gpus:\n  - { size: 900G }\n  - { size: 1M }\nmax_memory: 1G\n");
    expect(sh("dmesg | grep gpu0").stdout).toMatch(/gpu: probe of gpu0 failed with error -\d+/);
    expect(sh("gpu stats | grep running").stdout).toContain("gpu1: running");
  });

  test("its file can be mapped, and its pages are neither the device's nor to be moved", () => {
    const { sh } = bootWithProcess(ONE);
    sh("proc mmap $(pidof a) 8K --shared --file /dev/gpu0 --at 0x20000000");
    expect(sh("proc write $(pidof a) 0x20000000 mapped; proc read $(pidof a) 0x20000000 6").stdout).toContain(
      "mapped",
    );
    expect(sh("grep gpu0 /proc/$(pidof a)/maps").stdout).toContain("/dev/gpu0\n");
    expect(sh("gpu migrate $(pidof a) 0x20000000 8K").output).toMatch(/^gpu: migrate: Invalid argument\n/);
  });

  test("a reboot makes it new: nothing is left of what it mirrored, and one that was dead runs", () => {
    const { machine, sh } = bootWithProcess(ONE);
    sh("gpu migrate $(pidof a) 0x10000000 64K; gpu kill");
    expect(sh("gpu stats").stdout).toMatch(/^gpu0: dead.*\n {2}used 16 pages/);
    sh("reboot");
    expect(sh("gpu stats").stdout).toMatch(/^gpu0: running.*\n {2}used 0 pages/);
    expect(sh("pidof a").status).toBe(1);
    assertInvariants(machine.vm, vmInvariants);
  });
});

describe("gpu", () => {
  test.each([
    ["", /^gpu run NAME PID read\|write\|add ADDR LENGTH/, 0],
    ["fly", /^gpu: there is no "fly": gpu help lists what there is$/m, 1],
    ["run gpu0 PID read 0x10000000", /^gpu: usage: gpu run NAME PID read\|write\|add ADDR LENGTH/m, 1],
    ["run gpu0 PID draw 0x10000000 4K", /^gpu: a gpu can't "draw": write read, write, add$/m, 1],
    ["run gpu0 PID write 0x10000000 4K", /^gpu: write what\? A text behind the length$/m, 1],
    ["run gpu0 PID add 0x10000000 4 much", /^gpu: "much" is not a number$/m, 1],
    ["run gpu0 PID add 0x10000002 4", /^gpu: run: Invalid argument\n {4}atomic operations/, 1],
    ["run gpu0 PID read 0x20000000 4K", /^gpu: run: Bad address\n/, 1],
    [
      "run gpu9 PID read 0x10000000 4K",
      /^gpu: run: No such device\n {4}there is no gpu9: the machine has gpu0, fast\n/,
      1,
    ],
    ["run gpu0 4711 read 0x10000000 4K", /^gpu: run: No such process\n/, 1],
    ["migrate PID 0x10000000 64K", /^gpu: which one\? Write --gpu gpu0 or --gpu fast$/m, 1],
    ["migrate PID 0x10000001 64K --gpu gpu0", /^gpu: migrate: Invalid argument\n/, 1],
    ["migrate PID 0x20000000 64K --gpu gpu0", /^gpu: migrate: Invalid argument\n {4}nothing is mapped/, 1],
    ["evict --pages few --gpu gpu0", /^gpu: "few" is not a number of pages$/m, 1],
    [
      "snapshot PID 0x10000000 64K --gpu gpu0",
      /^10000000-10001000 02 read and write, RAM\n10001000-10010000 00 nothing\n$/,
      0,
    ],
    ["reset --gpu gpu0", /^0\n$/, 0],
  ])("%s", (args, text, status) => {
    const { sh } = bootWithProcess(TWO);
    const result = sh(`gpu ${args.replace("PID", "$(pidof a)")}`);
    expect(result.output).toMatch(text);
    expect(result.status).toBe(status);
  });

  test("a machine without one says so", () => {
    for (const verb of ["stats", "evict", "kill", "run gpu0 1 read 0 1"])
      expect(boot("").sh(`gpu ${verb}`)).toMatchObject({
        output: "gpu: this machine has no gpu\n",
        status: 1,
      });
  });

  test("what a process had on the device is free once it has ended, and the device mirrors it no longer", () => {
    const { machine, sh } = bootWithProcess(ONE);
    sh("gpu migrate $(pidof a) 0x10000000 64K");
    expect(sh("gpu stats").stdout).toMatch(/used 16 pages.*mirrors 16 pages of process \d+ \(a\)\n$/s);
    sh("proc fork $(pidof a)");
    // What a child shares is write-protected first.
    expect(sh("gpu stats").stdout).toMatch(/used 16 pages.*mirrors 0 pages/s);
    sh("kill $(pidof a); pidof a");
    const gpu = machine.devices.gpus.all.get("gpu0");
    if (!(gpu?.device instanceof Gpu)) throw new Error("the device didn't come up");
    expect([gpu.device.memory.usedPages, gpu.device.contexts.size, gpu.contexts.size]).toEqual([0, 0, 0]);
    assertInvariants(gpu.device, gpuInvariants);
    assertInvariants(machine.vm, vmInvariants);
  });

  test("device pages are charged to the cgroup of their process, as those in RAM are", () => {
    const { sh } = bootWithProcess(ONE);
    sh("cd /sys/fs/cgroup; echo +memory > cgroup.subtree_control; mkdir t; echo $(pidof a) > t/cgroup.procs");
    sh("proc mmap $(pidof a) 64K --at 0x30000000 --populate");
    const anon = (): string => sh("grep '^anon ' /sys/fs/cgroup/t/memory.stat").stdout;
    expect(anon()).toBe("anon 65536\n");
    sh("gpu migrate $(pidof a) 0x30000000 64K");
    expect(anon()).toBe("anon 65536\n");
    expect(sh("explain /t").stdout).toContain("gpu0");
    sh("gpu evict");
    expect(anon()).toBe("anon 65536\n");
  });
});

test("a gpu mirrors a process no longer as soon as that is killed", () => {
  const { machine, sh } = bootWithProcess(ONE);
  sh("gpu run gpu0 $(pidof a) read 0x10000000 4");
  const [gpu] = machine.devices?.gpus.all.values() ?? [];
  expect(gpu?.contexts.size).toBe(1);
  sh("kill $(pidof a)");
  expect(gpu?.contexts.size).toBe(0);
  assertInvariants(machine.vm, vmInvariants);
});
