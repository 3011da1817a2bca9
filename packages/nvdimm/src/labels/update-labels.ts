// Writing the labels of a namespace to all its modules: first with the updating flag on each, then without it. A
// power failure in between leaves either the old set or the new one. Kernel counterpart:
// nd_pmem_namespace_label_update() in drivers/nvdimm/label.c.
import { type Sleeps } from "@hetmem/kernel";
import { dpaOf, type Nvdimm } from "../devices/dimm.ts";
import type { Namespace } from "../devices/namespace.ts";
import type { Mapping } from "../devices/region.ts";
import { type Label, LABEL_UPDATING } from "./label-format.ts";
import type { Uuid } from "./uuid.ts";

/**
 * Writes the labels of a namespace, or removes them when its size is 0. Called under the bus's lock.
 *
 * @param formerUuid the old uuid when the uuid changes
 * @throws KernelError ENXIO when a module is disabled or has no slot left, EACCES when it is locked, ENOMEM
 */
export function* updateLabels(namespace: Namespace, formerUuid?: Uuid): Sleeps<void> {
  const { region, uuid } = namespace;
  if (uuid === undefined) return;
  if (namespace.size === 0) {
    for (const { dimm } of region.mappings)
      yield* dimm.expectData().labels.remove((label) => label.uuid === uuid);
    return;
  }
  for (const { dimm } of region.mappings) makeEntry(dimm, uuid);
  for (const { dimm } of region.mappings) {
    const { labels } = dimm.expectData();
    if (!labels.valid) yield* labels.initialise();
  }
  for (const flags of [LABEL_UPDATING, 0]) {
    for (const mapping of region.mappings) {
      const label = labelOf(namespace, uuid, mapping, flags);
      yield* mapping.dimm
        .expectData()
        .labels.replace(label, (old) => old.uuid === uuid || old.uuid === formerUuid);
    }
  }
}

/** Allocates the in-memory entry of a new label. Done for all modules before the first write. @see init_labels() */
function makeEntry(dimm: Nvdimm, uuid: Uuid): void {
  if (
    dimm
      .expectData()
      .labels.labels()
      .some((label) => label.uuid === uuid)
  )
    return;
  dimm.kernel.faults.point("failslab").alloc(`a label of ${dimm.name}`);
}

function labelOf(
  namespace: Namespace,
  uuid: Uuid,
  { dimm, position }: Mapping,
  flags: number,
): Omit<Label, "slot"> {
  const taken = dpaOf(dimm.expectData(), uuid);
  return {
    uuid,
    name: namespace.altName,
    flags,
    nlabel: namespace.region.mappings.length,
    position,
    isetCookie: namespace.region.setCookie,
    lbaSize: namespace.lbaSize,
    dpa: taken?.start ?? 0,
    rawSize: taken?.size ?? 0,
    claimClass: namespace.claimClass,
  };
}
