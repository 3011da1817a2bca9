// gpu stats, reset and kill: the state of devices, and their failures.
import type { Gpu } from "@hetmem/gpu";
import { PAGE_SIZE, writeSize } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import { type Call, type Verbs } from "../verbs.ts";
import { GPU_OPTION, gpuOf, gpusOf } from "./device.ts";

export const STATE: Verbs = {
  stats: {
    usage: "[--gpu NAME]",
    summary: "memory, counters, and whose pages each device mirrors",
    operands: [0, 0],
    options: GPU_OPTION,
    *run(call) {
      for (const gpu of gpusOf(call)) call.io.out(statsText(call, gpu));
      return 0;
    },
  },
  reset: {
    usage: "[--gpu NAME]",
    summary: "reset the engine: private memory loses its contents. Prints how many pages are lost",
    operands: [0, 0],
    options: GPU_OPTION,
    *run(call) {
      call.io.out(`${yield* gpuOf(call).reset()}\n`);
      return 0;
    },
  },
  kill: {
    usage: "[--gpu NAME]",
    summary: "let it fall off the bus, for good. Prints how many pages are lost",
    operands: [0, 0],
    options: GPU_OPTION,
    *run(call) {
      call.io.out(`${gpuOf(call).fallOff()}\n`);
      return 0;
    },
  },
};

function statsText(call: Call, gpu: Gpu): string {
  const { memory, policy, state, stats, contexts } = gpu;
  const { start = 0 } = memory.pagemap?.ranges[0] ?? {};
  const size = writeSize(memory.pages * PAGE_SIZE);
  const lines = [
    `${gpu.name}: ${state}, ${size} of ${memory.type} memory at 0x${start.toString(16)}, ${policy.name}`,
    `  used ${memory.usedPages} pages, free ${memory.freePages}`,
    ...Object.entries(stats).map(([name, value]) => `  ${name} ${value}`),
    ...Array.from(contexts, ({ mm, table }) => {
      const owner = ownerOf(call, (process) => process.mm === mm);
      return owner
        ? `  mirrors ${[...table.entries()].length} pages of process ${owner.pid} (${owner.comm})`
        : [];
    }).flat(),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function ownerOf({ space }: Call, has: (process: Process) => boolean): Process | undefined {
  for (const process of space.vm.processes) if (has(process)) return process;
  return undefined;
}
