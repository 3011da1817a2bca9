// Which controllers the children of a cgroup have: what is written to cgroup.subtree_control, and what that makes and
// unmakes. Resources go from the top down, and a cgroup whose controllers distribute to its children has no tasks of
// its own. Kernel counterpart: cgroup_subtree_control_write() in kernel/cgroup/cgroup.c.
import { KernelError } from "@hetmem/kernel";
import type { Cgroup } from "./cgroup.ts";
import { type CgroupHierarchy, placesOf } from "./hierarchy.ts";
import type { CgroupTask } from "./subsys.ts";

/** Controllers to enable and to disable: a bit each. */
export interface ControlChange {
  readonly enable: number;
  readonly disable: number;
}

/**
 * Reads names with a plus or a minus before them; the last word about one counts.
 *
 * @throws KernelError EINVAL for a controller that there isn't, and for a name without a sign
 */
export function parseControl(names: readonly string[], text: string): ControlChange {
  let enable = 0;
  let disable = 0;
  for (const word of text.trim().split(" ").filter(Boolean)) {
    const place = names.indexOf(word.slice(1));
    const sign = word.charAt(0);
    if (place < 0 || (sign !== "+" && sign !== "-"))
      throw new KernelError(
        "EINVAL",
        `"${word}" is not + or - and the name of a controller, of which there are ${names.length > 0 ? names.join(", ") : "none"}`,
      );
    const bit = 1 << place;
    enable = sign === "+" ? enable | bit : enable & ~bit;
    disable = sign === "-" ? disable | bit : disable & ~bit;
  }
  return { enable, disable };
}

/**
 * Changes what the children of a cgroup have, all of it or nothing. What is as asked already is left alone.
 *
 * @throws KernelError ENODEV when the cgroup has been removed, ENOENT when it hasn't got the controller itself, EBUSY when a child
 *   has it enabled for its own, or there are tasks in the cgroup, and what a controller throws
 */
export function setSubtreeControl<T extends CgroupTask>(
  hierarchy: CgroupHierarchy<T>,
  cgroup: Cgroup<T>,
  asked: ControlChange,
): void {
  hierarchy.assertAlive(cgroup);
  const enable = asked.enable & ~cgroup.subtreeControl;
  const disable = asked.disable & cgroup.subtreeControl;
  for (const place of placesOf(enable | disable)) vetPlace(hierarchy, cgroup, place, disable);
  // Nobody competes with the root's tasks: it has no limits. @see cgroup_is_mixable()
  if (enable !== 0 && cgroup.parent && cgroup.hasTasks)
    throw new KernelError("EBUSY", `${cgroup.path} has tasks of its own: move them into its children first`);
  const children = [...cgroup.children];
  hierarchy.createCsses(children, enable);
  cgroup.subtreeControl = (cgroup.subtreeControl | enable) & ~disable;
  for (const child of children) {
    for (const place of placesOf(enable)) hierarchy.reattach(child, place);
    for (const place of placesOf(disable)) hierarchy.killCss(child, place);
  }
}

/** Resources are handed down: none that wasn't given, and none is taken back that was handed on. */
function vetPlace<T extends CgroupTask>(
  hierarchy: CgroupHierarchy<T>,
  cgroup: Cgroup<T>,
  place: number,
  disable: number,
): void {
  const bit = 1 << place;
  const name = hierarchy.subsystems[place]?.name;
  if ((disable & bit) === 0) {
    if ((hierarchy.control(cgroup) & bit) === 0)
      throw new KernelError(
        "ENOENT",
        `${cgroup.path} hasn't got ${name}: enable it for the children of its parent first`,
      );
    return;
  }
  for (const child of cgroup.children)
    if ((child.subtreeControl & bit) !== 0)
      throw new KernelError(
        "EBUSY",
        `${child.path} has ${name} enabled for its children: disable it there first`,
      );
}
