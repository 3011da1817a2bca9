// Warnings for administrators about memory of a device that becomes RAM, which the kernel doesn't enforce. Kernel
// counterpart: the changelog of the driver (c221c0b0308f) and the documentation of nvdimm security.
import type { DevDax } from "@hetmem/dax";

/** Warnings for a device, one sentence each; none for a device without a poison list. */
export function kmemCaveats({ name, region }: DevDax): string[] {
  if (!region.parent.poison) return [];
  return [
    `the memory of ${name} keeps what is written to it when the power goes: keys and passwords that programs mlock() so ` +
      "that they never reach a disk stay on it, unless the device encrypts at rest",
    `an error of ${name} that shows up later is one of RAM: it takes the page out of use and kills who has it mapped, ` +
      "where a mapping of /dev would get SIGBUS and could clear it",
  ];
}
