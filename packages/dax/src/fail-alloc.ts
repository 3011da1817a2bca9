// Every small allocation of the bus can be made to fail, as any kmalloc() can. Kernel counterpart: mm/failslab.c.
import { type Kernel, KernelError } from "@hetmem/kernel";

/** @throws KernelError ENOMEM when the fault point `failslab` says so */
export function failAlloc({ faults }: Kernel, what: string): void {
  if (faults.point("failslab").shouldFail())
    throw new KernelError("ENOMEM", `no memory for ${what} (injected)`);
}
