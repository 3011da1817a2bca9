// Where mapping device memory can be made to fail: each place where the kernel allocates. Kernel counterpart:
// lib/fault-inject.c, failslab.
/** The points of this package, for whoever tries every one of them. */
export const MEMREMAP_FAULT_POINTS = [
  "percpu_ref_init",
  "pgmap_array_store",
  "memtype_reserve",
  "arch_add_memory",
  "devres_alloc",
] as const;
