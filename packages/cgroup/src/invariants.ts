// Invariants of a hierarchy, which hold after every step of every operation.
import type { Invariant } from "@hetmem/kernel";
import type { Cgroup } from "./cgroup.ts";
import { type CgroupHierarchy, placesOf } from "./hierarchy.ts";

export const cgroupInvariants: readonly Invariant<CgroupHierarchy>[] = [
  {
    name: "the cgroups that are reached from the root are alive and know where they are",
    *check({ root }) {
      for (const cgroup of root.subtree()) {
        if (cgroup.dead) yield `${cgroup.path} is dead and has a directory`;
        const { parent } = cgroup;
        if (parent && (parent.child(cgroup.name) !== cgroup || cgroup.level !== parent.level + 1))
          yield `${cgroup.path} is not where its parent has it`;
      }
    },
  },
  {
    name: "the descendants of each cgroup are counted",
    *check({ root }) {
      for (const cgroup of root.subtree()) {
        const below = [...cgroup.subtree()].length - 1;
        if (cgroup.nrDescendants !== below)
          yield `${cgroup.path} counts ${cgroup.nrDescendants}, and has ${below}`;
        if (cgroup.nrDyingDescendants < 0) yield `${cgroup.path} counts ${cgroup.nrDyingDescendants} dying`;
      }
    },
  },
  {
    name: "a task is where the hierarchy has it, and nowhere else",
    *check(hierarchy) {
      for (const cgroup of hierarchy.root.subtree()) {
        for (const task of cgroup.tasks)
          if (hierarchy.cgroupOf(task) !== cgroup) yield `process ${task.pid} is in ${cgroup.path} too`;
      }
    },
  },
  {
    name: "a cgroup is populated if it or one below has tasks",
    *check({ root }) {
      for (const cgroup of root.subtree()) {
        const populated = [...cgroup.subtree()].some(({ hasTasks }) => hasTasks);
        if (cgroup.populated !== populated) yield `${cgroup.path} says ${cgroup.populated}`;
      }
    },
  },
  {
    name: "controllers are handed down, and each cgroup has those that its parent gives",
    *check(hierarchy) {
      for (const cgroup of hierarchy.root.subtree()) {
        const control = hierarchy.control(cgroup);
        if ((cgroup.subtreeControl & ~control) !== 0) yield `${cgroup.path} gives what it hasn't got`;
        const own = hierarchy.subsystems.flatMap((_, place) => (cgroup.ownCss(place) ? [place] : []));
        if (own.join() !== placesOf(control).join()) yield `${cgroup.path} has ${own.join()} of ${control}`;
      }
    },
  },
  {
    name: "tasks don't compete with children that controllers distribute to",
    *check({ root, rules }) {
      if (rules.internalTasks) return;
      for (const cgroup of root.subtree())
        if (competes(cgroup)) yield `${cgroup.path} has tasks beside its children`;
    },
  },
];

function competes({ parent, subtreeControl, hasTasks }: Cgroup): boolean {
  return parent !== undefined && subtreeControl !== 0 && hasTasks;
}
