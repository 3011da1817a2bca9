// The sysfs writes that turn a namespace without labels into a pfn or dax device.
import { run } from "@hetmem/kernel";
import {
  bindClaim,
  type ClaimKind,
  type Namespace,
  storeClaimMode,
  storeClaimNamespace,
  storeClaimUuid,
  unbindClaim,
  unbindNamespace,
} from "../src/index.ts";

/** Struct pages come to lie in the namespace. */
export function claimNamespace(namespace: Namespace, kind: ClaimKind): void {
  const { region, name, claim: former } = namespace;
  if (former) {
    run(unbindClaim(former));
    run(storeClaimNamespace(former, ""));
  }
  run(unbindNamespace(namespace));
  const claim = region.claimSeeds[kind];
  if (!claim) throw new Error(`${region.name} has no seed of kind ${kind}`);
  run(storeClaimUuid(claim, region.bus.newUuid()));
  run(storeClaimMode(claim, "pmem"));
  run(storeClaimNamespace(claim, name));
  run(bindClaim(claim));
}
