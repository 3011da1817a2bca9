// Writes to the files of a btt, pfn or dax before it is enabled: uuid, alignment, location of struct pages, sector
// size, namespace. Kernel counterpart: the store functions of drivers/nvdimm/pfn_devs.c and btt_devs.c,
// nd_namespace_store() in claim.c.
import { condResched, KernelError, MiB, type Sleeps } from "@hetmem/kernel";
import {
  attachNamespace,
  BTT_SECTOR_SIZES,
  type Claim,
  detachNamespace,
  PFN_ALIGNMENTS,
  type PfnMode,
  unregisterClaim,
} from "../devices/claim.ts";
import { expectUnbound, withDeviceLock } from "../devices/device.ts";
import type { Namespace } from "../devices/namespace.ts";
import { parseUuid } from "../labels/uuid.ts";

/** Minimum size in bytes of a claimed namespace. */
const CLAIMABLE_SIZE_MIN = 16 * MiB;

/** Sets the uuid. @throws KernelError EBUSY while enabled, EINVAL when the text isn't a UUID, ENOMEM */
export function* storeClaimUuid(claim: Claim, text: string): Sleeps<void> {
  yield* changing(claim, () => {
    const uuid = parseUuid(text);
    claim.kernel.faults.point("failslab").alloc(`the uuid of ${claim.name}`);
    claim.uuid = uuid;
  });
}

/**
 * Sets the location of struct pages.
 *
 * @throws KernelError EBUSY while enabled, EINVAL for words other than pmem, ram and none
 * @see mode_store()
 */
export function* storeClaimMode(claim: Claim, text: string): Sleeps<void> {
  yield* changing(claim, () => {
    const word = text.replace(/\n$/, "");
    const mode = (["pmem", "ram", "none"] as const satisfies readonly PfnMode[]).find((one) => one === word);
    if (!mode) throw new KernelError("EINVAL", `"${word}" is no mode: write pmem, ram or none`);
    claim.mode = mode;
  });
}

/**
 * Sets the alignment.
 *
 * @param align bytes
 * @throws KernelError EBUSY while enabled, EINVAL when it isn't the size of an x86-64 page table entry
 * @see align_store()
 */
export function* storeClaimAlign(claim: Claim, align: number): Sleeps<void> {
  yield* changing(claim, () => {
    if (!PFN_ALIGNMENTS.some((one) => one === align))
      throw new KernelError("EINVAL", `an alignment is one of ${PFN_ALIGNMENTS.join(", ")}, not ${align}`);
    claim.align = align;
  });
}

/**
 * Sets the sector size.
 *
 * @param size bytes
 * @throws KernelError EBUSY while enabled, EINVAL for an unsupported size
 * @see sector_size_store()
 */
export function* storeClaimSectorSize(claim: Claim, size: number): Sleeps<void> {
  yield* changing(claim, () => {
    if (!BTT_SECTOR_SIZES.some((one) => one === size))
      throw new KernelError("EINVAL", `sectors of a btt have ${BTT_SECTOR_SIZES.join(", ")} bytes`);
    claim.sectorSize = size;
  });
}

/**
 * Claims a namespace by name. An empty name releases it; the claim is then reset if it is the seed, else
 * unregistered.
 *
 * @throws KernelError EBUSY while enabled, when the claim has a namespace, or when the namespace is claimed or its
 * holder class differs; ENODEV for an unknown name; ENXIO when the namespace is too small; EINVAL when the name isn't
 * a namespace's
 * @see nd_namespace_store()
 */
export function* storeClaimNamespace(claim: Claim, text: string): Sleeps<void> {
  const name = text.trim();
  yield* changing(claim, () => {
    if (name === "") return release(claim);
    if (!name.startsWith("namespace"))
      throw new KernelError("EINVAL", `"${name}" is not the name of a namespace`);
    if (claim.namespace) throw new KernelError("EBUSY", `${claim.name} has ${claim.namespace.name} already`);
    const namespace = [...claim.region.namespaces.values()].find((one) => one.name === name);
    if (!namespace) throw new KernelError("ENODEV", `${claim.region.name} has no ${name}`);
    expectMeantFor(namespace, claim);
    if (namespace.size < CLAIMABLE_SIZE_MIN)
      throw new KernelError("ENXIO", `${name} is too small to hold a ${claim.kind}: it needs 16 MiB`);
    if (!attachNamespace(claim, namespace))
      throw new KernelError("EBUSY", `${name} is in the hands of ${namespace.claim?.name ?? "another"}`);
  });
}

/** @see nd_detach_and_reset() */
function release(claim: Claim): void {
  detachNamespace(claim);
  if (!claim.isSeed) return unregisterClaim(claim);
  claim.uuid = undefined;
  claim.mode = "none";
  claim.sectorSize = 0;
}

function expectMeantFor({ claimClass, name }: Namespace, { kind }: Claim): void {
  if (claimClass === "none" || claimClass === kind || (claimClass === "btt2" && kind === "btt")) return;
  throw new KernelError(
    "EBUSY",
    `${name} is meant for ${claimClass}: write ${kind} to its holder_class first`,
  );
}

function* changing(claim: Claim, change: () => void): Sleeps<void> {
  yield condResched;
  yield* withDeviceLock(claim, () =>
    claim.region.bus.locked(() => {
      expectUnbound(claim);
      change();
    }),
  );
}
