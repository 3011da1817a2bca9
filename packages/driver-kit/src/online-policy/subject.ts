// An online policy as a placement is made of it: alone, and by a name that is always valid, so that its own is the matter of one
// obligation.
import {
  type MemoryGroups,
  OnlinePolicies,
  type OnlinePolicy,
  onlinePolicyPlacement,
  type Placement,
} from "@hetmem/zone";

export function policiesOf(policy: OnlinePolicy): OnlinePolicies {
  const { parameters = [] } = policy;
  const zoneFor: OnlinePolicy["zoneFor"] = (host, request) => policy.zoneFor(host, request);
  return new OnlinePolicies([{ name: "under-test", parameters, zoneFor }]);
}

/** The placement of any machine whose plain `online` is the policy. */
export function placementBy(policy: OnlinePolicy): (groups: MemoryGroups) => Placement {
  return (groups) => onlinePolicyPlacement(policiesOf(policy), groups);
}
