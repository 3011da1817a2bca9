// Two people type `gpu` for one process, and a third ends it, or lets the device fall off the bus, in every order that the
// seeds give: what the machine keeps between their requests, who has the device open, must follow.
import { assertInvariants, run, type Sleeps } from "@hetmem/kernel";
import { rivalsPlan, runRivals } from "@hetmem/explore";
import { Gpu, gpuInvariants } from "@hetmem/gpu";
import { vmInvariants } from "@hetmem/mm";
import { expect, test } from "vitest";
import { createMachine, type Machine } from "../src/machine.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

/** Each boots a machine. What goes on within the device is tried more often beside it. */
const PLAN = rivalsPlan(process.env, 25);
const SPEC = machineOfYaml(
  "max_memory: 512M\nnodes:\n  - { memory: { start: 0, end: 128M }, cpus: 0 }\ngpus:\n  - { size: 8K, policy: migrate-on-touch }\n",
  "gpu.yaml",
  "v6.1",
);
const BASE = "0x10000000";

/** Types lines one after the other. */
function* typing(machine: Machine, lines: readonly string[]): Sleeps<void> {
  const shell = new Shell(machine, PROGRAMS);
  for (const line of lines) yield* shell.execute(line);
}

/** With a process of three written pages, for which the device has no room at once. */
function boot(): { machine: Machine; gpu: Gpu; pid: string } {
  const machine = createMachine(SPEC);
  const shell = new Shell(machine, PROGRAMS);
  const pid = run(shell.execute("proc start a")).stdout.trim();
  run(shell.execute(`proc mmap ${pid} 12K --at ${BASE} --populate`));
  const gpu = machine.devices.gpus.all.get("gpu0")?.device;
  if (!(gpu instanceof Gpu)) throw new Error("the device didn't come up");
  return { machine, gpu, pid };
}

test.each(["proc exit PID", "gpu kill", "gpu reset"])(
  "requests to a gpu by two people, and `%s` by a third, leave nobody's pages and no open device",
  { timeout: 3_600_000 },
  (third) => {
    const report = runRivals(() => {
      const { machine, gpu, pid } = boot();
      return {
        kernel: machine.kernel,
        tasks: {
          computing: () =>
            typing(machine, [`gpu run gpu0 ${pid} write ${BASE} 12K abc; gpu evict --pages 1`]),
          moving: () => typing(machine, [`gpu migrate ${pid} ${BASE} 8K; proc read ${pid} ${BASE} 1`]),
          third: () => typing(machine, [third.replace("PID", pid)]),
        },
        afterStep: () => assertInvariants(gpu, gpuInvariants),
        afterwards: () => {
          run(typing(machine, [`kill ${pid}; pidof a`]));
          expect([gpu.memory.usedPages, gpu.contexts.size]).toEqual([0, 0]);
          assertInvariants(machine.vm, vmInvariants);
        },
      };
    }, PLAN);
    expect([...report.endings.keys()].sort()).toEqual(["computing: done", "moving: done", "third: done"]);
  },
);
