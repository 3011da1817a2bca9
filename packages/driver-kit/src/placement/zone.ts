// Obligations of the zone that a placement policy answers: online_pages() moves the range there without a second look. Kernel
// counterpart: zone_for_pfn_range() in mm/memory_hotplug.c.
import { KernelError } from "@hetmem/kernel";
import { allZones, zoneTypeEnd, ZoneType } from "@hetmem/zone";
import { demand, Violation } from "../violation.ts";
import { about, ask, named, questions, state, TYPES } from "./trial.ts";

export const zoneOfTheNode = state(
  "answers a zone of the block's node",
  "The answer is a zone of the node that the block is on, and not ZONE_DEVICE; or a refusal.",
  (trial) => {
    for (const request of questions(trial)) {
      for (const type of TYPES) {
        const question = about(type, request);
        const zone = answered(question, () => trial.placement.zoneFor(trial.memory, type, request));
        if (zone === undefined) continue;
        const known = [...allZones(trial.memory)].find((each) => each === zone);
        demand(known !== undefined, `${question} is answered with a value that is no zone of the machine`);
        demand(
          known.node === request.node && known.type !== ZoneType.Device,
          `${question} is answered with ${named(known)}`,
        );
      }
    }
  },
);

export const keepsTheKind = state(
  "keeps the kind that is asked for",
  "online_kernel never means Movable, and online_movable never a kernel zone.",
  (trial) => {
    for (const request of questions(trial)) {
      for (const type of ["online_kernel", "online_movable"] as const) {
        const zone = ask(trial, type, request);
        const wrong = zone && (zone.type === ZoneType.Movable) !== (type === "online_movable");
        demand(!wrong, `${about(type, request)} is answered with ${named(zone)}`);
      }
    }
  },
);

export const keepsDmaLimits = state(
  "keeps DMA zones below their limits",
  "A frame that DMA or DMA32 gets can be addressed by the devices that ask for it: with 24 bits, with 32.",
  (trial) => {
    for (const request of questions(trial)) {
      for (const type of TYPES) {
        const zone = ask(trial, type, request);
        const fits = zone === undefined || request.start + request.pages <= zoneTypeEnd(zone.type);
        demand(fits, `${about(type, request)} is answered with ${named(zone)}`);
      }
    }
  },
);

/** @throws Violation for an error that is no refusal */
function answered<T>(question: string, body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw new Violation(`${question} throws ${String(error)}`, { cause: error });
  }
}
