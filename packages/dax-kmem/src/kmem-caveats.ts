// What an administrator should know before a device's memory becomes RAM, and which nothing enforces. Kernel counterpart:
// the changelog of the driver (c221c0b0308f) and the documentation of nvdimm security.
import type { DevDax } from "@hetmem/dax";

/** Sentences for people, none where there is nothing to say. */
export function kmemCaveats({ name, region }: DevDax): string[] {
  if (!region.parent.poison) return [];
  return [
    `the memory of ${name} keeps what is written to it when the power goes: keys and passwords that programs mlock() so ` +
      "that they never reach a disk stay on it, unless the device encrypts at rest",
    `an error of ${name} that shows up later is one of RAM: it takes the page out of use and kills who has it mapped, ` +
      "where a mapping of /dev would get SIGBUS and could clear it",
  ];
}
