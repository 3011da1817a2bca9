// The driver of namespaces, btt and pfn claims. The driver looks for info blocks of each kind. When the driver finds
// one, it creates a claim for the namespace; otherwise the namespace becomes a raw disk. Kernel counterpart:
// nd_pmem_probe() and pmem_attach_disk() in drivers/nvdimm/pmem.c, and the probes of btt_devs.c, pfn_devs.c and
// dax_devs.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { releaseRegion, requestRegion } from "@hetmem/resource";
import {
  attachNamespace,
  type Claim,
  type ClaimKind,
  createClaim,
  unregisterClaim,
} from "../devices/claim.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { NvdimmMapping } from "../devices/ports.ts";
import type { Range } from "../errors/range-set.ts";
import { readBttBlock, setupBtt } from "./btt.ts";
import { INFO_BLOCK_RESERVE, type NamespaceIo, withNamespaceIo } from "./namespace-io.ts";
import { PmemDisk } from "./pmem-disk.ts";
import { dataRange, setupPfn, validatePfnBlock } from "./setup-pfn.ts";

const SIZE_MIN = 4096;

/**
 * Checks that a namespace can be bound.
 *
 * @throws KernelError EACCES when a module is locked, ENODEV when the namespace isn't configured
 * @see nvdimm_namespace_common_probe()
 */
export function expectUsable(namespace: Namespace): void {
  const { name, lockedBy, size, kind, uuid } = namespace;
  if (lockedBy.length > 0)
    throw new KernelError("EACCES", `${name} lies on ${lockedBy.join(", ")}, which is locked`);
  if (size < SIZE_MIN) throw new KernelError("ENODEV", `${name} has no size: give it one`);
  if (kind === "pmem" && uuid === undefined)
    throw new KernelError("ENODEV", `${name} has no uuid: give it one`);
}

/**
 * Probes a namespace.
 *
 * @returns the new claim of the namespace, not yet bound; undefined when the namespace became a disk
 * @throws KernelError EOPNOTSUPP for an unusable info block
 * @see nd_pmem_probe()
 */
export function* probeNamespace(namespace: Namespace): Sleeps<Claim | undefined> {
  if (namespace.claim)
    throw new KernelError("ENXIO", `${namespace.name} is in the hands of ${namespace.claim.name}: bind that`);
  expectUsable(namespace);
  const claim = yield* namespace.region.bus.locked(() => findClaim(namespace));
  if (claim) return claim;
  namespace.disk = yield* attachDisk(namespace, namespace.range, namespace.size, (range) =>
    namespace.region.bus.mappings.memremap(range),
  );
  return undefined;
}

/** Probes a btt or a pfn. @throws KernelError as setupBtt() and setupPfn() */
export function* probeClaimDisk(claim: Claim, namespace: Namespace): Sleeps<void> {
  const { mappings } = claim.region.bus;
  if (claim.kind === "btt") {
    const size = setupBtt(claim);
    claim.disk = yield* attachDisk(namespace, namespace.range, size, (range) => mappings.memremap(range));
    return;
  }
  const { block, pagemap } = setupPfn(claim);
  const data = dataRange(namespace, block);
  claim.disk = yield* attachDisk(namespace, data, data.end - data.start, () =>
    mappings.memremapPages(pagemap),
  );
}

/** Looks for info blocks, and creates the claim for the first one found. */
function findClaim(namespace: Namespace): Claim | undefined {
  if (namespace.forceRaw) return undefined;
  return withNamespaceIo(namespace, INFO_BLOCK_RESERVE, (io) => {
    for (const kind of namespace.region.bus.claimKinds) {
      const claim = mayHold(namespace, kind) ? tryClaim(namespace, kind, io) : undefined;
      if (claim) return claim;
    }
    return undefined;
  });
}

/** Whether the label's holder class admits a kind of claim. @see nd_btt_probe(), nd_pfn_probe(), nd_dax_probe() */
function mayHold({ claimClass }: Namespace, kind: ClaimKind): boolean {
  return claimClass === "none" || claimClass === kind || (kind === "btt" && claimClass === "btt2");
}

function tryClaim(namespace: Namespace, kind: ClaimKind, io: NamespaceIo): Claim | undefined {
  const claim = createClaim(namespace.region, kind);
  attachNamespace(claim, namespace);
  try {
    readSettings(claim, io);
    return claim;
  } catch (error) {
    unregisterClaim(claim);
    if (error instanceof KernelError && error.errno !== "EOPNOTSUPP") return undefined;
    throw error;
  }
}

function readSettings(claim: Claim, io: NamespaceIo): void {
  if (claim.kind === "btt") {
    const { uuid, sectorSize } = readBttBlock(io);
    claim.uuid = uuid;
    claim.sectorSize = sectorSize;
    return;
  }
  const { uuid, mode, align } = validatePfnBlock(io, claim.kind);
  claim.uuid = uuid;
  claim.mode = mode;
  claim.align = align;
}

/** @see pmem_attach_disk() */
function* attachDisk(
  namespace: Namespace,
  data: Range,
  size: number,
  map: (range: Range) => Sleeps<NvdimmMapping>,
): Sleeps<PmemDisk> {
  const { region, range } = namespace;
  const { iomem } = region.bus;
  requestRegion(iomem, range.start, namespace.size, namespace.name);
  const release = (): void => releaseRegion(iomem, range.start, range.end - range.start);
  let mapping: NvdimmMapping;
  try {
    mapping = yield* map(range);
  } catch (error) {
    release();
    throw error;
  }
  return new PmemDisk({
    name: namespace.diskName,
    region,
    data,
    size,
    sectorSize: namespace.claim?.sectorSize || namespace.lbaSize || 512,
    mapping: {
      *release() {
        yield* mapping.release();
        release();
      },
    },
  });
}
