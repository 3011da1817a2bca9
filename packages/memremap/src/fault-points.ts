// Where mapping device memory can be made to fail: each place where the kernel allocates. Kernel counterpart:
// lib/fault-inject.c, failslab.
import { type Kernel, KernelError } from "@hetmem/kernel";

/** The points of this package, for whoever tries every one of them. */
export const MEMREMAP_FAULT_POINTS = [
  "percpu_ref_init",
  "pgmap_array_store",
  "memtype_reserve",
  "arch_add_memory",
  "devres_alloc",
] as const;
export type MemremapFaultPoint = (typeof MEMREMAP_FAULT_POINTS)[number];

/** @throws KernelError ENOMEM when a test armed the point, and it is its turn */
export function failIfInjected({ faults }: Kernel, name: MemremapFaultPoint, whose: string): void {
  const point = faults.point(name);
  if (point.armed && point.shouldFail()) throw new KernelError("ENOMEM", `${name} of ${whose} (injected)`);
}
