// The device's files in /sys/kernel/debug: memory, counters, and mirrored address spaces. Kernel counterpart:
// specific to each driver; lib/test_hmm.c has none.
import { PAGE_SIZE } from "@hetmem/kernel";
import type { Attribute } from "@hetmem/vfs";
import type { Gpu } from "./gpu.ts";

/** The files by name. */
export function gpuDebugfsFiles(gpu: Gpu): Readonly<Record<string, Attribute>> {
  return {
    state: { show: () => `${gpu.state}\n` },
    policy: { show: () => `${gpu.policy.name}\n` },
    memory: { show: () => memoryText(gpu) },
    stats: { show: () => lines(Object.entries(gpu.stats)) },
    clients: {
      show: () => lines([...gpu.contexts].map(({ mm, mirroredPages }) => [`mm ${mm.id}`, mirroredPages])),
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
