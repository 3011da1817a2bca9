// The whole life of device memory: a namespace is made, its device becomes RAM, processes use it, and all of that is undone,
// while allocations fail at random and somebody else takes each lock at a random moment. Each step happens or doesn't, and
// in the end the machine is what it was.
//
// HETMEM_RUNS says how many lives, HETMEM_SEED the seed of the first. What fails prints both as they show it again.
import { KernelError, Random, run, Scheduler, seededChoice } from "@hetmem/kernel";
import { Shell } from "@hetmem/shell";
import { expect, test } from "vitest";
import { PROGRAMS } from "../src/programs/index.ts";
import {
  assertAllInvariants,
  assertQuickInvariants,
  countersOf,
  cycleMachine,
  type CycleMachine,
  exportedTree,
} from "./device-machine.ts";
import { drawLife, type Life, type Step, STEPS } from "./cycle-steps.ts";
import { lockHolder } from "./device-users.ts";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 400);
const FIRST_SEED = Number(process.env["HETMEM_SEED"] ?? 0);
/** Lives between two looks at all that can be told of the machine, which takes as long as a life: what is left behind stays. */
const LOOK_EVERY = 8;
/** After so many failures a step is left in peace. */
const FAILURES_MAX = 3;

const CREATE = "ndctl create-namespace -m devdax";
const DESTROY = "ndctl destroy-namespace -f all";
const PROGRAMS_OF_A_LIFE = [
  CREATE,
  "daxctl reconfigure-device -N -m system-ram dax0.0",
  "daxctl online-memory dax0.0",
  "numactl -m 1 cat /proc/self/numa_maps",
  "daxctl offline-memory dax0.0",
  "daxctl reconfigure-device -m devdax dax0.0",
  DESTROY,
];

/** How often each step asks each fault point, when nothing fails. */
type Calls = Map<Step, Map<string, number>>;

/** How often each step failed at each fault point. */
type Failures = Map<string, number>;

test(
  "device memory that lived as a namespace, a device and RAM leaves the machine as it was, whatever failed on the way",
  { timeout: 3_600_000 },
  () => {
    const machine = cycleMachine();
    const { calls, before } = liveInPeace(machine);
    const failures: Failures = new Map();
    let looked = FIRST_SEED;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
      const life = drawLife(machine, new Random(seed));
      try {
        for (const step of STEPS) persist(step, life, calls.get(step) ?? new Map(), failures);
        if (seed % LOOK_EVERY > 0 && seed < FIRST_SEED + RUNS - 1) continue;
        assertAllInvariants(machine);
        expect(stateOf(machine)).toEqual(before.get(nextDax(machine)));
        looked = seed + 1;
      } catch (error) {
        const replay = `HETMEM_SEED=${looked} HETMEM_RUNS=${seed + 1 - looked}`;
        throw new Error(`life ${seed} fails; see it again with ${replay}`, { cause: error });
      }
    }
    const everyPoint = STEPS.flatMap((step) =>
      [...(calls.get(step)?.keys() ?? [])].map((point) => `${step.name}: ${point}`),
    );
    if (RUNS >= 100) expect([...failures.keys()].sort()).toEqual(everyPoint.sort());
  },
);

test(
  "with ndctl and daxctl the same life ends as it began, however often a program has to be called again",
  { timeout: 3_600_000 },
  () => {
    const machine = cycleMachine();
    const random = new Random(FIRST_SEED);
    const before = new Map<string, unknown>();
    for (let cycle = 0; cycle < Math.ceil(RUNS / 10); cycle++) {
      for (const line of PROGRAMS_OF_A_LIFE) {
        for (let tries = 0; tries < 10; tries++) {
          if (before.size === 2 && tries < FAILURES_MAX) armAll(machine, random);
          const { status, output } = run(new Shell(machine, PROGRAMS).execute(line));
          machine.kernel.faults.disarmAll();
          assertQuickInvariants(machine);
          if (status === 0) break;
          if (before.size < 2 || tries > FAILURES_MAX + 1) throw new Error(`${line}: ${output}`);
          if (line === CREATE) run(new Shell(machine, PROGRAMS).execute(DESTROY));
        }
      }
      const after = before.get(nextDax(machine));
      if (after) expect(stateOf(machine)).toEqual(after);
      else before.set(nextDax(machine), stateOf(machine));
    }
  },
);

/** Lives in which nothing fails, until the machine has settled: what is loaded at first use is, and the claim of the next namespace is dax0.0 or dax0.1 in turn. */
function liveInPeace(machine: CycleMachine): { calls: Calls; before: Map<string, unknown> } {
  const { faults } = machine.kernel;
  const calls: Calls = new Map();
  const before = new Map<string, unknown>();
  for (let seed = 0; seed < 8; seed++) {
    const life = drawLife(machine, new Random(seed));
    for (const step of STEPS) {
      for (const name of faults.names()) faults.point(name).arm({ probability: 0 });
      happen(step, life);
      const asked = calls.get(step) ?? new Map<string, number>();
      for (const name of faults.names())
        if (faults.point(name).calls > 0)
          asked.set(name, Math.max(asked.get(name) ?? 0, faults.point(name).calls));
      calls.set(step, asked);
      faults.disarmAll();
    }
    before.set(nextDax(machine), stateOf(machine));
  }
  return { calls, before };
}

/** Tries a step until it happens; until then, each try leaves everything as it was. */
function persist(step: Step, life: Life, calls: ReadonlyMap<string, number>, failures: Failures): void {
  const { machine, random } = life;
  const { faults } = machine.kernel;
  if (calls.size === 0) return happen(step, life);
  const before = countersOf(machine);
  const tree = random.chance(1, 128) ? exportedTree(machine) : undefined;
  for (let tries = 0; ; tries++) {
    if (tries < FAILURES_MAX && random.chance(2, 3)) armSome(machine, random, calls);
    const refusal = attempt(step, life);
    const failed = faults
      .names()
      .filter((name) => faults.point(name).armed && faults.point(name).failures > 0);
    for (const name of failed) {
      const place = `${step.name}: ${name}`;
      failures.set(place, (failures.get(place) ?? 0) + 1);
    }
    faults.disarmAll();
    assertQuickInvariants(machine);
    if (!refusal && step.happened(life)) return;
    if (failed.length === 0)
      throw new Error(`${step.name} fails, and nothing made it fail`, { cause: refusal });
    expect([step.name, countersOf(machine)]).toEqual([step.name, before]);
    if (tree) expect([step.name, exportedTree(machine)]).toEqual([step.name, tree]);
  }
}

function armAll({ kernel: { faults } }: CycleMachine, random: Random): void {
  for (const name of faults.names()) faults.point(name).arm({ probability: 20, seed: random.nextUint32() });
}

/** What asks no fault point happens at once. */
function happen(step: Step, life: Life): void {
  const refusal = attempt(step, life);
  if (refusal || !step.happened(life)) throw new Error(`${step.name} didn't happen`, { cause: refusal });
}

/** One call of one point fails, or any of any. */
function armSome(machine: CycleMachine, random: Random, calls: ReadonlyMap<string, number>): void {
  const { faults } = machine.kernel;
  const [first, ...others] = [...calls];
  if (!first) return;
  if (random.chance(1, 3)) armAll(machine, random);
  else {
    const [name, count] = random.pick([first, ...others]);
    faults.point(name).arm({ probability: 100, space: random.below(count), times: 1 });
  }
}

/** Runs a step beside somebody who takes the locks that it needs. @returns why it was refused */
function attempt(step: Step, life: Life): KernelError | undefined {
  const { machine, random } = life;
  const scheduler = new Scheduler(machine.kernel, seededChoice(random.nextUint32()));
  const task = scheduler.spawn(step.name, step.act(life));
  const holder = scheduler.spawn("holder", lockHolder(machine, random));
  scheduler.runAll();
  if (holder.state.kind === "failed") throw holder.state.error;
  const { state } = task;
  if (state.kind !== "failed") return undefined;
  if (state.error instanceof KernelError) return state.error;
  throw state.error;
}

function stateOf(machine: CycleMachine): unknown {
  return { tree: exportedTree(machine), counters: countersOf(machine) };
}

/** The claim that the next namespace in devdax mode will have. */
function nextDax({ nvdimm }: CycleMachine): string {
  return nvdimm.regions.map(({ claimSeeds }) => claimSeeds.dax?.name).join();
}
