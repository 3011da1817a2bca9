// Obligations of the list in valid_zones, which lsmem, daxctl and udev rules read before they write to `state`. Kernel
// counterpart: valid_zones_show() in drivers/base/memory.c.
import type { Zone } from "@hetmem/zone";
import { demand } from "../violation.ts";
import { about, ask, list, named, questions, state, TYPES } from "./trial.ts";

export const defaultIsFirst = state(
  "lists the zone of plain online first",
  "The first zone of valid_zones is the one that plain online gets; where the list is empty, plain online is refused.",
  (trial) => {
    for (const request of questions(trial)) {
      const [first] = list(trial, request);
      const zone = ask(trial, "online", request);
      demand(
        first === zone,
        `valid_zones begins with ${named(first)}, and ${about("online", request)} is answered with ${named(zone)}`,
      );
    }
  },
);

export const listsWhatItAllows = state(
  "lists what it allows and no more",
  "Each zone that a way of onlining gets stands in valid_zones once, and no other zone does.",
  (trial) => {
    for (const request of questions(trial)) {
      const allowed = new Set(TYPES.flatMap((type) => ask(trial, type, request) ?? []));
      const listed = list(trial, request);
      demand(
        listed.length === allowed.size && listed.every((zone) => allowed.has(zone)),
        `valid_zones lists ${words(listed)}, and the answers are ${words([...allowed])}`,
      );
    }
  },
);

function words(zones: readonly Zone[]): string {
  return zones.map(named).join(", ") || "no zone";
}
