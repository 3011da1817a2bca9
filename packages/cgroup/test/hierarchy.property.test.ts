// Whatever is made, removed, moved, enabled, begun, ended and refused: the hierarchy stays one.
import { outcome } from "@hetmem/test-machines/outcome";
import { assertInvariants } from "@hetmem/kernel";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { cgroupInvariants, legacy, unified } from "../src/index.ts";
import { type CgroupMachine, cgroupMachine } from "./cgroup-machine.ts";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 300);
const TOP = "/sys/fs/cgroup";

const path = fc
  .array(fc.constantFrom("a", "b", "c"), { maxLength: 3 })
  .map((names) => names.map((name) => `/${name}`).join(""));
const pid = fc.integer({ min: 2, max: 6 });
const step = fc.oneof(
  fc.record({ act: fc.constant("mkdir" as const), path }),
  fc.record({ act: fc.constant("rmdir" as const), path }),
  fc.record({
    act: fc.constant("control" as const),
    path,
    text: fc.constantFrom("+memory", "-memory", "+io", "-io", "+memory +io", "-memory +io", "-memory -io"),
  }),
  fc.record({ act: fc.constant("move" as const), path, pid }),
  fc.record({ act: fc.constant("fork" as const), pid, child: pid }),
  fc.record({ act: fc.constant("exit" as const), pid }),
  fc.record({ act: fc.constant("settle" as const) }),
  fc.record({ act: fc.constant("room" as const), room: fc.integer({ min: 0, max: 3 }) }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function take(machine: CgroupMachine, taken: Step): void {
  const { hierarchy, memory, tasks, vfs, write } = machine;
  switch (taken.act) {
    case "mkdir":
      return vfs.mkdir(`${TOP}${taken.path}`);
    case "rmdir":
      return vfs.rmdir(`${TOP}${taken.path}`);
    case "control":
      return write(`${taken.path}/cgroup.subtree_control`, taken.text);
    case "move":
      return write(`${taken.path}/cgroup.procs`, `${taken.pid}`);
    case "fork":
      if (!tasks.has(taken.child)) machine.start(taken.child, tasks.has(taken.pid) ? taken.pid : undefined);
      return;
    case "exit": {
      const task = tasks.get(taken.pid);
      if (task) hierarchy.exit(task);
      tasks.delete(taken.pid);
      return;
    }
    case "settle":
      return settle(machine);
    case "room":
      memory.room = taken.room;
  }
}

/** One account that was closed is paid. */
function settle({ memory }: CgroupMachine): void {
  const [first] = memory.owing;
  first?.[1]();
  if (first) memory.owing.delete(first[0]);
}

/** Controllers charge every task to an account that is open, and to the one that its cgroup has. */
function checkPayers({ hierarchy, memory, tasks }: CgroupMachine): void {
  expect([...memory.payers.keys()]).toHaveLength(tasks.size);
  for (const task of tasks.values()) {
    const payer = memory.payers.get(task);
    expect(payer?.state).toBe("online");
    expect(payer).toBe(hierarchy.effectiveCss(hierarchy.cgroupOf(task), 0));
  }
}

test.each([
  ["unified", unified],
  ["legacy", legacy],
])("any program leaves the %s hierarchy whole, and what is refused changes nothing", (_name, rules) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const machine = cgroupMachine(rules);
      machine.memory.keeps = true;
      for (const taken of steps) {
        const before = shapeOf(machine);
        if (outcome(() => take(machine, taken)) !== "done") expect(shapeOf(machine)).toBe(before);
        assertInvariants(machine.hierarchy, cgroupInvariants);
        checkPayers(machine);
      }
      for (const task of machine.tasks.values()) machine.hierarchy.exit(task);
      for (const cgroup of [...machine.hierarchy.root.subtree()].toReversed())
        if (cgroup.parent) machine.hierarchy.rmdir(cgroup);
      while (machine.memory.owing.size > 0) settle(machine);
      expect(machine.read(rules === unified ? "/cgroup.stat" : "/cgroup.procs")).toBe(
        rules === unified ? "nr_descendants 0\nnr_dying_descendants 0\n" : "",
      );
      expect(machine.hierarchy.root.nrDyingDescendants).toBe(0);
    }),
    { numRuns: RUNS },
  );
});

/** Who is where, and what is enabled. */
function shapeOf({ hierarchy }: CgroupMachine): string {
  const lines = Array.from(hierarchy.root.subtree(), (cgroup) => {
    const pids = Array.from(cgroup.tasks, ({ pid: number }) => number);
    return `${cgroup.path} ${cgroup.subtreeControl} ${pids.join()} ${cgroup.nrDyingDescendants}`;
  });
  return lines.join("\n");
}
