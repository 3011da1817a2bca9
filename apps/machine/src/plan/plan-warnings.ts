// Warnings for an administrator before a device becomes RAM, a sentence each.
import type { Machine } from "../machine.ts";
import { formatBytes } from "@hetmem/kernel";
import type { Plan } from "@hetmem/report";

export function planWarnings(
  { spec, memory, hotplug, devices }: Machine,
  plan: Omit<Plan, "warnings">,
): string[] {
  const { namespace, commands, zone, node, size, trimmed, bad, ratio, blocks, zones } = plan;
  const { structPages, structPagesBefore } = plan;
  const warnings: string[] = ["what is on the device is lost: RAM is written over it"];
  const block = formatBytes(hotplug.blockSize);
  if (trimmed > 0)
    warnings.push(
      `${formatBytes(trimmed)} of the device are wasted: memory goes online in blocks of ${block}, at multiples of ${block}`,
    );
  if (bad > 0)
    warnings.push(`${formatBytes(bad)} stay out: their memory blocks have bad memory that can't be cleared`);
  if (devices.dax.bus.drivers.get("kmem")?.keepsMemory)
    warnings.push("this release can't remove the memory again: it stays until the next boot");
  if (commands.length > 1 && namespace && namespace.size - size >= hotplug.blockSize)
    warnings.push(
      `${formatBytes(namespace.size - size)} of ${namespace.name} keep struct pages that a dax device needs and RAM doesn't: create it with -M mem`,
    );
  for (const { node: payer, bytes } of structPages.nodes) {
    if (structPagesBefore.nodes.some((each) => each.node === payer)) continue;
    const before = zones
      .filter((each) => each.node === payer)
      .reduce((sum, each) => sum + each.before.free, 0);
    if (bytes > before / 10)
      warnings.push(
        `the struct pages take ${formatBytes(bytes)} of the ${formatBytes(before)} that are free on node ${payer}`,
      );
  }
  if (spec.options.memmap_on_memory)
    warnings.push(
      "the option memmap_on_memory is on, and doesn't help: kmem of this release (until 6.8) keeps struct pages in RAM that is there",
    );
  if (zone === "movable" && ratio.movable > 4 * ratio.kernel)
    warnings.push("more than four times as much memory is movable as the kernel can use for itself");
  if ((memory.nodes[node]?.cpus.length ?? 0) > 0)
    warnings.push(`node ${node} has cpus and RAM of its own: slow and fast memory can't be told apart there`);
  const { memhp_default_state: state = "offline" } = spec.options;
  if (state !== "offline")
    warnings.push(
      `the kernel takes new memory online by itself (${state}), before anybody can choose a zone: daxctl refuses without -f`,
    );
  if (blocks.some(({ canGoOffline }) => !canGoOffline))
    warnings.push("as soon as the kernel has put something there, the way back to devdax is a reboot");
  return warnings;
}
