// The device's files in /sys/kernel/debug: memory, counters, and mirrored address spaces. Kernel counterpart:
// specific to each driver; lib/test_hmm.c has none.
import { PAGE_SIZE } from "@hetmem/kernel";
import type { AttributeTable } from "@hetmem/vfs";
import type { Gpu } from "./gpu.ts";

export function gpuDebugfsTable(gpu: Gpu): AttributeTable {
  return {
    root: `/sys/kernel/debug/${gpu.name}`,
    files: {
      state: { show: () => `${gpu.state}\n` },
      policy: { show: () => `${gpu.policy.name}\n` },
      memory: { show: () => memoryText(gpu) },
      stats: { show: () => lines(Object.entries(gpu.stats)) },
      clients: {
        show: () =>
          lines([...gpu.contexts].map(({ mm, table }) => [`mm ${mm.id}`, [...table.entries()].length])),
      },
    },
  };
}

function memoryText({ memory }: Gpu): string {
  const [range] = memory.pagemap?.ranges ?? [];
  const where = range ? ` at 0x${range.start.toString(16)}` : "";
  return lines([
    [`${memory.type}${where}`, memory.pages * PAGE_SIZE],
    ["used", memory.usedPages * PAGE_SIZE],
  ]);
}

function lines(rows: readonly (readonly [name: string, value: number])[]): string {
  return rows.map(([name, value]) => `${name} ${value}\n`).join("");
}
