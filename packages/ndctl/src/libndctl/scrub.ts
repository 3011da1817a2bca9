// Scrubs of a bus: its `nfit/scrub` file counts those that have ended, with a plus behind the number while one is on. User space
// counterpart: ndctl_bus_start_scrub(), ndctl_bus_wait_for_scrub_completion() in ndctl/lib/libndctl.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { attribute, type TreeContext, writeAttribute } from "../sysfs/attributes.ts";
import type { NdctlContext } from "./context.ts";
import type { NdBus } from "./devices.ts";

/** Whether the firmware can scrub. */
export function hasScrub({ vfs }: TreeContext, bus: NdBus): boolean {
  return vfs.exists(scrubPath(bus));
}

/** Whether a scrub is on. */
export function* isScrubbing(context: TreeContext, bus: NdBus): Sleeps<boolean> {
  return ((yield* attribute(context, scrubPath(bus))) ?? "").endsWith("+");
}

/** @throws KernelError EOPNOTSUPP when the firmware can't scrub, EBUSY while a scrub waits already */
export function* startScrub(context: TreeContext, bus: NdBus): Sleeps<void> {
  expectScrub(context, bus);
  yield* writeAttribute(context, scrubPath(bus), "1\n");
}

/** Waits for a scrub that is on. @throws KernelError EOPNOTSUPP when the firmware can't scrub */
export function* waitScrub(context: NdctlContext, bus: NdBus): Sleeps<void> {
  expectScrub(context, bus);
  // Ends: with the scrub, at whose end pollScrub() returns.
  while (yield* isScrubbing(context, bus)) yield* context.nodes.pollScrub(`/dev/ndctl${bus.id}`);
}

function expectScrub(context: TreeContext, bus: NdBus): void {
  if (!hasScrub(context, bus)) throw new KernelError("EOPNOTSUPP", `the firmware of ${bus.name} can't scrub`);
}

function scrubPath({ path }: NdBus): string {
  return `${path}/nfit/scrub`;
}
