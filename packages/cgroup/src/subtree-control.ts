// cgroup.subtree_control: enabling and disabling controllers for the children of a cgroup. Resources are distributed
// top-down, and a cgroup that distributes to its children holds no tasks itself. Kernel counterpart:
// cgroup_subtree_control_write() in kernel/cgroup/cgroup.c.
import { KernelError } from "@hetmem/kernel";
import type { Cgroup } from "./cgroup.ts";
import { type CgroupHierarchy, placesOf } from "./hierarchy.ts";
import type { CgroupTask } from "./subsys.ts";

/** Controllers to enable and to disable: one bit each. */
export interface ControlChange {
  readonly enable: number;
  readonly disable: number;
}

/**
 * Parses controller names with a leading plus or minus. The last word for a controller counts.
 *
 * @param names the controllers' names, by index
 * @throws KernelError EINVAL for an unknown controller, and for a name without a sign
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
 * Enables and disables controllers for the children of a cgroup, all or nothing. Controllers already in the wanted
 * state are ignored.
 *
 * @throws KernelError ENODEV when the cgroup has been removed; ENOENT when a controller to enable isn't enabled for
 * the cgroup itself; EBUSY when a child has a controller to disable enabled for its own children, or the cgroup has
 * tasks; errors of a controller's cssCreate()
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
  // The root may hold tasks beside its children: it has no limits that they could compete for. @see
  // cgroup_is_mixable()
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

/**
 * A controller can be enabled only if the parent enabled it here, and disabled only if no child has it enabled for
 * its children.
 */
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
