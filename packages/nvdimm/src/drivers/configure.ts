// Writes to the files of a namespace: uuid, size, name, sector size, holder class. Each fails while the namespace is
// in use, and each updates the labels on the media. Kernel counterpart: the store functions of
// drivers/nvdimm/namespace_devs.c.
import { isAligned, KernelError, type Sleeps } from "@hetmem/kernel";
import { allocatedSize, resizeAllocation } from "../devices/capacity.ts";
import { expectUnbound, type NdDevice } from "../devices/device.ts";
import { dpaOf, labelId } from "../devices/dimm.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { Region } from "../devices/region.ts";
import type { ClaimClass } from "../labels/label-format.ts";
import { updateLabels } from "../labels/update-labels.ts";
import { parseUuid, type Uuid } from "../labels/uuid.ts";

/** Sector sizes of a namespace in bytes. @see pmem_lbasize_supported */
export const PMEM_SECTOR_SIZES = [512, 4096] as const;
const NAME_LENGTH_MAX = 63;

/**
 * Runs an action with the device lock and reconfig_mutex held, and no probe in progress.
 *
 * @see wait_nvdimm_bus_probe_idle()
 */
function* configuring<T>(region: Region, device: NdDevice, action: () => Sleeps<T>): Sleeps<T> {
  const { bus } = region;
  // Ends: each turn waits for the probes in progress, and a probe that began meanwhile ends as well.
  for (;;) {
    yield* bus.waitProbeIdle();
    yield* device.lock.lock();
    try {
      yield* bus.reconfig.lock();
      try {
        if (bus.probesActive > 0) continue;
        if (device.gone) throw new KernelError("ENODEV", `${device.name} is gone`);
        return yield* action();
      } finally {
        bus.reconfig.unlock();
      }
    } finally {
      device.lock.unlock();
    }
  }
}

/**
 * Resizes a namespace. Size 0 deletes it.
 *
 * @param size bytes
 * @throws KernelError EBUSY while in use, ENXIO without labels or a uuid, EINVAL when the size isn't aligned, ENOSPC
 * when no gap is large enough, ENOMEM
 * @see size_store()
 */
export function* storeSize(namespace: Namespace, size: number): Sleeps<void> {
  const { region } = namespace;
  yield* configuring(region, namespace, function* () {
    expectIdle(namespace);
    const { uuid } = namespace;
    if (namespace.kind === "io" || uuid === undefined)
      throw new KernelError("ENXIO", `${namespace.name} has no uuid under which its size could be written`);
    if (!isAligned(size, region.align))
      throw new KernelError("EINVAL", `${size} is not a multiple of the region's alignment, ${region.align}`);
    const before = allocatedSize(region, uuid);
    resizeAllocation(region, uuid, size);
    namespace.setRange(size);
    yield* orUndo(
      () => updateLabels(namespace),
      () => {
        resizeAllocation(region, uuid, before);
        namespace.setRange(before);
      },
    );
    if (size === 0) forgetNamespace(namespace);
  });
}

/**
 * Sets the uuid.
 *
 * @throws KernelError EBUSY while in use, EINVAL when the text isn't a UUID or the UUID is taken, ENXIO without
 * labels, ENOMEM
 * @see uuid_store()
 */
export function* storeUuid(namespace: Namespace, text: string): Sleeps<void> {
  const { region } = namespace;
  yield* configuring(region, namespace, function* () {
    expectLabelled(namespace);
    expectIdle(namespace);
    const [former, uuid] = [namespace.uuid, parseUuid(text)];
    if (uuid === former) return;
    if (!region.bus.isUuidUnique(uuid))
      throw new KernelError("EINVAL", `${uuid} is the name of another namespace`);
    namespace.kernel.faults.point("failslab").alloc(`the uuid of ${namespace.name}`);
    rename(namespace, uuid);
    yield* orUndo(
      () => relabel(namespace, former),
      () => rename(namespace, former),
    );
  });
}

/**
 * Sets the name.
 *
 * @throws KernelError EBUSY while in use, ENXIO without labels, EINVAL when longer than 63 characters, ENOMEM
 * @see alt_name_store()
 */
export function* storeAltName(namespace: Namespace, text: string): Sleeps<void> {
  const name = text.trim();
  yield* configuring(namespace.region, namespace, function* () {
    expectLabelled(namespace);
    expectIdle(namespace);
    if (name.length > NAME_LENGTH_MAX)
      throw new KernelError("EINVAL", `a name has ${NAME_LENGTH_MAX} characters at most`);
    namespace.kernel.faults.point("failslab").alloc(`the name of ${namespace.name}`);
    yield* relabelWith(namespace, "altName", name);
  });
}

/**
 * Sets the sector size.
 *
 * @param size bytes
 * @throws KernelError EBUSY while in use, ENXIO without labels, EINVAL for an unsupported size
 * @see sector_size_store()
 */
export function* storeSectorSize(namespace: Namespace, size: number): Sleeps<void> {
  yield* configuring(namespace.region, namespace, function* () {
    expectLabelled(namespace);
    expectIdle(namespace);
    if (!PMEM_SECTOR_SIZES.some((one) => one === size))
      throw new KernelError("EINVAL", `sectors of a namespace have ${PMEM_SECTOR_SIZES.join(" or ")} bytes`);
    yield* relabelWith(namespace, "lbaSize", size);
  });
}

/**
 * Sets the holder class: `btt`, `pfn`, `dax`, or none for an empty text.
 *
 * @throws KernelError EBUSY while in use, EINVAL for other words
 * @see holder_class_store()
 */
export function* storeHolderClass(namespace: Namespace, text: string): Sleeps<void> {
  yield* configuring(namespace.region, namespace, function* () {
    expectIdle(namespace);
    const claimClass = claimClassOf(namespace, text.replace(/\n$/, ""));
    if (namespace.kind === "io") namespace.claimClass = claimClass;
    else yield* relabelWith(namespace, "claimClass", claimClass);
  });
}

/** @see __holder_class_store(), btt_claim_class() */
function claimClassOf({ region }: Namespace, word: string): ClaimClass {
  if (word === "") return "none";
  if (word === "pfn" || word === "dax") return word;
  if (word !== "btt")
    throw new KernelError("EINVAL", `"${word}" is no class: write btt, pfn, dax or nothing`);
  const areas = region.mappings.map(({ dimm }) => dimm.data?.labels);
  return areas.length === 0 || areas.some((labels) => !labels || labels.isVersion11) ? "btt" : "btt2";
}

function* relabelWith<K extends "altName" | "lbaSize" | "claimClass">(
  namespace: Namespace,
  key: K,
  value: Namespace[K],
): Sleeps<void> {
  const former = namespace[key];
  namespace[key] = value;
  yield* orUndo(
    () => relabel(namespace),
    () => {
      namespace[key] = former;
    },
  );
}

/** Updates the labels of a namespace with a size; others have none. @see nd_namespace_label_update() */
function* relabel(namespace: Namespace, former?: Uuid): Sleeps<void> {
  if (namespace.kind === "pmem" && namespace.size > 0) yield* updateLabels(namespace, former);
}

function rename(namespace: Namespace, uuid: Uuid | undefined): void {
  const former = namespace.uuid;
  namespace.uuid = uuid;
  if (former === undefined || uuid === undefined) return;
  for (const { dimm } of namespace.region.mappings) {
    const taken = dimm.data && dpaOf(dimm.data, former);
    if (taken) taken.name = labelId(uuid);
  }
}

/**
 * Clears the uuid of a namespace resized to 0, and unregisters it unless it is the seed or number 0.
 *
 * @see __size_store()
 */
function forgetNamespace(namespace: Namespace): void {
  const { region } = namespace;
  namespace.uuid = undefined;
  if (namespace.id === 0 || region.namespaceSeed === namespace) return;
  namespace.gone = true;
  region.namespaces.delete(namespace.id);
  namespace.uevent("remove");
}

function* orUndo(change: () => Sleeps<void>, undo: () => void): Sleeps<void> {
  try {
    yield* change();
  } catch (error) {
    undo();
    throw error;
  }
}

function expectIdle(namespace: Namespace): void {
  expectUnbound(namespace);
  if (namespace.claim)
    throw new KernelError(
      "EBUSY",
      `${namespace.name} is in the hands of ${namespace.claim.name}: take it away first`,
    );
}

function expectLabelled(namespace: Namespace): void {
  if (namespace.kind === "io")
    throw new KernelError("ENXIO", `${namespace.name} has no label: initialise the labels of its modules`);
}
