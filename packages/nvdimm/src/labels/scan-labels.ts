// Namespaces from labels: a namespace is valid when every module of the region has a label of it, with the region's
// cookie and an extent inside the module's part. Kernel counterpart: scan_labels() and create_namespace_pmem() in
// drivers/nvdimm/namespace_devs.c.
import { KernelError } from "@hetmem/kernel";
import { Namespace } from "../devices/namespace.ts";
import type { Mapping, Region } from "../devices/region.ts";
import type { Label } from "./label-format.ts";

/**
 * The namespaces of a labelled region, lowest address first. Without labels: one namespace of size 0, the seed. The
 * namespaces aren't registered yet.
 *
 * @throws KernelError ENODEV when a set of labels is incomplete or inconsistent; the region can't be enabled until
 * the labels are repaired or removed
 */
export function scanLabels(region: Region): Namespace[] {
  const [first] = region.mappings;
  const found = first ? labelsOf(region, first) : [];
  const namespaces = found.map((label) => namespaceOf(region, label));
  if (new Set(found.map(({ uuid }) => uuid)).size < found.length)
    throw invalid(region, "two labels of one module have the same uuid");
  if (namespaces.length === 0) return [new Namespace(region, "pmem", 0)];
  const sorted = namespaces.sort((one, other) => one.range.start - other.range.start);
  return sorted.map((namespace, id) => renumbered(namespace, id));
}

/** Labels of a module with this region's cookie and an extent in it. @see nsl_validate_isetcookie() */
function labelsOf(region: Region, { dimm, start, size }: Mapping): Label[] {
  const cookie = region.setCookie;
  return (dimm.data?.labels.labels() ?? []).filter(
    ({ isetCookie, dpa }) => isetCookie === cookie && dpa >= start && dpa < start + size,
  );
}

/** @see create_namespace_pmem(), has_uuid_at_pos(), select_pmem_id() */
function namespaceOf(region: Region, { uuid }: Label): Namespace {
  const set = region.mappings.map((mapping) => {
    const label = labelsOf(region, mapping).find(
      (one) => one.uuid === uuid && one.position === mapping.position,
    );
    if (!label || label.nlabel !== region.mappings.length) {
      region.log(3, `${mapping.dimm.name} missing label for ${uuid}`);
      throw invalid(region, `${mapping.dimm.name} has no label of ${uuid}`);
    }
    if (label.dpa + label.rawSize > mapping.start + mapping.size)
      throw invalid(region, `the label of ${uuid} on ${mapping.dimm.name} leaves the region`);
    return label;
  });
  const namespace = new Namespace(region, "pmem", 0);
  const [head] = set;
  namespace.uuid = uuid;
  namespace.altName = head?.name ?? "";
  namespace.lbaSize = head?.lbaSize ?? 0;
  namespace.claimClass = head?.claimClass ?? "none";
  namespace.setRange(set.reduce((sum, { rawSize }) => sum + rawSize, 0));
  return namespace;
}

/** A copy of a namespace with another number. */
function renumbered(namespace: Namespace, id: number): Namespace {
  const copy = new Namespace(namespace.region, "pmem", id);
  copy.uuid = namespace.uuid;
  copy.altName = namespace.altName;
  copy.lbaSize = namespace.lbaSize;
  copy.claimClass = namespace.claimClass;
  copy.range = namespace.range;
  return copy;
}

function invalid(region: Region, reason: string): KernelError {
  return new KernelError(
    "ENODEV",
    `the labels of ${region.name} are not valid: ${reason}; zero or repair them`,
  );
}
