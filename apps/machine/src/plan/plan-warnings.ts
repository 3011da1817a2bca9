// What an administrator should hear before a device becomes RAM: sentences, none where there is nothing to say.
import type { Machine } from "../machine.ts";
import { formatBytes } from "../report/size.ts";
import type { Plan } from "./plan.ts";

export function planWarnings(
  { spec, memory, hotplug }: Machine,
  { zone, trimmed, ratio, zones }: Pick<Plan, "zone" | "trimmed" | "ratio" | "zones">,
): string[] {
  const warnings: string[] = ["what is on the device is lost: RAM is written over it"];
  if (trimmed > 0)
    warnings.push(
      `${formatBytes(trimmed)} of the device are wasted: memory goes online in blocks of ${formatBytes(hotplug.blockSize)}`,
    );
  if (spec.profile === "v5.1")
    warnings.push("this release can't remove the memory again: it stays until the next boot");
  if (zone === "movable" && ratio.movable > 4 * ratio.kernel)
    warnings.push("more than four times as much memory is movable as the kernel can use for itself");
  const mixed = zones.find(({ node }) => (memory.nodes[node]?.cpus.length ?? 0) > 0);
  if (mixed)
    warnings.push(
      `node ${mixed.node} has cpus and RAM of its own: slow and fast memory can't be told apart there`,
    );
  if (spec.options.memhp_default_state !== undefined && spec.options.memhp_default_state !== "offline")
    warnings.push(
      `the kernel takes new memory online by itself (${spec.options.memhp_default_state}): daxctl refuses without -f`,
    );
  if (zone === "kernel")
    warnings.push("as soon as the kernel has put something there, the way back to devdax is a reboot");
  return warnings;
}
