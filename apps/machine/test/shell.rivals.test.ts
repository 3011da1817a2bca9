// Two users and a monitor type into one machine at the same time, in every order that the seeds give: the writes of one
// land between the steps of the other's. In the end the memory that was added is removed, and the machine is as it was.
//
// How often they run, and how a failure replays: rivalsPlan() in @hetmem/explore.
import { assertInvariants, KernelBug, MiB, physAddr, run, type Sleeps } from "@hetmem/kernel";
import { memoryInvariants, quickInvariants } from "@hetmem/zone";
import { rivalsPlan, runRivals, type Scenario } from "@hetmem/explore";
import { expect, test } from "vitest";
import { createMachine, type Machine } from "../src/machine.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";
import { countersOf } from "./device-machine.ts";

const PLAN = rivalsPlan(process.env);
const MEMORY = "/sys/devices/system/memory";
const ADDED = physAddr(0x1_0000_0000);
const SPEC = machineOfYaml(
  "name: shared\noptions: {}\nmax_memory: 512M\nphysical_bits: 36\nnodes:\n  - memory: { start: 0, end: 256M }\n    cpus: 0\n",
  "shared.yaml",
  "v6.1",
);

/** Types lines one after the other. @returns the exit statuses */
function* typing(machine: Machine, lines: readonly string[]): Sleeps<number[]> {
  const shell = new Shell(machine, PROGRAMS);
  const statuses: number[] = [];
  for (const line of lines) statuses.push((yield* shell.execute(line)).status);
  return statuses;
}

/** Reads what monitors read, and checks that what it reads is of one piece. */
function* monitoring(machine: Machine): Sleeps<void> {
  const shell = new Shell(machine, PROGRAMS);
  for (let i = 0; i < 2; i++) {
    const { stdout } = yield* shell.execute("cat /proc/zoneinfo");
    const present = [...stdout.matchAll(/present +(\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0);
    const managed = [...stdout.matchAll(/managed +(\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0);
    if (managed > present) throw new KernelBug(`zoneinfo manages ${managed} pages of ${present}`);
    yield* shell.execute(
      `read state < ${MEMORY}/memory32/state; read zones < ${MEMORY}/memory32/valid_zones`,
    );
  }
}

/** A machine on which everybody types at once, and which is as it was when they have ended. */
function scenario(): Scenario {
  const machine = createMachine(SPEC);
  const settle = (): void => run(machine.hotplug.offlineAndRemoveMemory(ADDED, 128 * MiB));
  const lines = (state: string): string[] => [
    `echo 0x${ADDED.toString(16)} > ${MEMORY}/probe`,
    `echo ${state} > ${MEMORY}/memory32/state`,
    `echo offline > ${MEMORY}/memory32/state`,
    `echo 0x${(ADDED + 3 * 4096).toString(16)} > ${MEMORY}/soft_offline_page`,
  ];
  // The text of a program stays in memory once it has run.
  run(typing(machine, ["cat /proc/uptime"]));
  const before = countersOf(machine);
  return {
    kernel: machine.kernel,
    tasks: {
      first: () => typing(machine, lines("online_movable")),
      second: () => typing(machine, lines("online")),
      monitor: () => monitoring(machine),
    },
    afterStep: () => assertInvariants(machine.memory, quickInvariants),
    afterwards() {
      assertInvariants(machine.memory, memoryInvariants);
      settle();
      expect(countersOf(machine)).toEqual(before);
    },
  };
}

test(
  "writes to the files of memory, typed by two people, leave the machine whole",
  { timeout: 3_600_000 },
  () => {
    const report = runRivals(scenario, PLAN);
    expect([...report.endings.keys()].sort()).toEqual(["first: done", "monitor: done", "second: done"]);
  },
);
