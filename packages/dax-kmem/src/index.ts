export { kmemCaveats } from "./kmem-caveats.ts";
export {
  kmemAddOnly,
  kmemDriverManaged,
  kmemGrouped,
  kmemHotremove,
  type KmemPolicy,
} from "./kmem-policy.ts";
export { type KmemRange, kmemRanges, type KmemRanges } from "./kmem-range.ts";
export { Kmem, type KmemOptions, MEMTIER_DEFAULT_DAX_ADISTANCE, type NodeMemoryTypes } from "./kmem.ts";
