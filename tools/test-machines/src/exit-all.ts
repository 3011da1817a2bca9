// The end of a schedule: all processes exit, and what they used is free again.
import { KernelBug, run } from "@hetmem/kernel";
import { exitProcess, type Vm } from "@hetmem/mm";

/**
 * Ends all processes.
 *
 * @param machine the machine after its tasks are done
 * @param free number of pages that were free before the first process
 * @param kept number of pages that may stay in use, such as those in the swap cache; read after the last exit
 * @throws KernelBug if other pages are in use, or an anon_vma is left
 */
export function exitAll(
  { vm, freePages }: { readonly vm: Vm; freePages(this: void): number },
  free: number,
  kept: () => number = () => 0,
): void {
  for (const process of vm.processes) run(exitProcess(process));
  const lost = free - freePages() - kept();
  if (lost !== 0) throw new KernelBug(`${lost} pages are lost`);
  if (vm.anonVmas.count !== 0) throw new KernelBug(`${vm.anonVmas.count} anon_vmas are lost`);
}
