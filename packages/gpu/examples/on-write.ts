// A migration policy: pages that the device writes to come to it, and pages that it reads stay in place.
import { PAGE_SIZE, type VirtAddr } from "@hetmem/kernel";
import type { MigrationPolicy } from "@hetmem/gpu/driver";

export const onWrite: MigrationPolicy = {
  name: "on-write",
  onMiss: ({ start, end, write }) => (write ? { start, end } : undefined),
  onCpuTouch(address) {
    const start = (address - (address % PAGE_SIZE)) as VirtAddr;
    return { start, end: (start + PAGE_SIZE) as VirtAddr };
  },
};
