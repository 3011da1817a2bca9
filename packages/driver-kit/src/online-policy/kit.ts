// The obligations of an online policy: those of a placement that plain `online` can break, and those of a value of online_policy.
// Kernel counterparts: zone_for_pfn_range() and set_online_policy() in mm/memory_hotplug.c.
import type { OnlinePolicy } from "@hetmem/zone";
import type { Kit, Obligation } from "../conformance.ts";
import { answersAlike, answersFromState, changesNothing } from "../placement/purity.ts";
import { placesBeforeAdding } from "../placement/service.ts";
import type { PlacementUnderTest } from "../placement/trial.ts";
import { keepsDmaLimits, zoneOfTheNode } from "../placement/zone.ts";
import { answersEveryRequest, answersForEveryValue } from "./answers.ts";
import { chosenByName, readsParametersBack } from "./files.ts";
import { placementBy } from "./subject.ts";

export const onlinePolicyKit: Kit<OnlinePolicy> = {
  port: "OnlinePolicy",
  obligations: [
    chosenByName,
    answersEveryRequest,
    ofPlacement(zoneOfTheNode),
    ofPlacement(keepsDmaLimits),
    ofPlacement(changesNothing),
    ofPlacement(answersAlike),
    ofPlacement(answersFromState),
    ofPlacement(placesBeforeAdding),
    readsParametersBack,
    answersForEveryValue,
  ],
};

/** An obligation of the placement whose plain `online` is the policy. */
function ofPlacement({ name, sentence, attempt }: Obligation<PlacementUnderTest>): Obligation<OnlinePolicy> {
  return {
    name,
    sentence,
    attempt: (policy, seed) => attempt({ name: policy.name, placement: placementBy(policy) }, seed),
  };
}
