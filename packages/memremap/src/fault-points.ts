// Fault points of mapping device memory: each place where the kernel allocates. Kernel counterpart:
// lib/fault-inject.c, failslab.
/** Names of all fault points of this package, for tests that inject a failure at each. */
export const MEMREMAP_FAULT_POINTS = [
  "percpu_ref_init",
  "pgmap_array_store",
  "memtype_reserve",
  "arch_add_memory",
  "devres_alloc",
] as const;
