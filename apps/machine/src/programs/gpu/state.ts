// gpu stats, reset and kill: the state of devices, and their failures.
import { writeSize } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import { type Call, type Verbs } from "../verbs.ts";
import type { MachineGpu } from "../../machine/devices/machine-gpu.ts";
import { GPU_OPTION, gpuOf, gpusOf, noOperation } from "./device.ts";

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
      const gpu = gpuOf(call);
      call.io.out(`${yield* gpu.device.reset?.() ?? noOperation(gpu, "reset")}\n`);
      return 0;
    },
  },
  kill: {
    usage: "[--gpu NAME]",
    summary: "let it fall off the bus, for good. Prints how many pages are lost",
    operands: [0, 0],
    options: GPU_OPTION,
    *run(call) {
      const gpu = gpuOf(call);
      call.io.out(`${gpu.device.fallOff?.() ?? noOperation(gpu, "fallOff")}\n`);
      return 0;
    },
  },
};

function statsText(call: Call, gpu: MachineGpu): string {
  const { memory, stats = {} } = gpu.device;
  const lines = [
    summaryOf(gpu),
    ...(memory ? [`  used ${memory.usedPages} pages, free ${memory.freePages}`] : []),
    ...Object.entries(stats).map(([name, value]) => `  ${name} ${value}`),
    ...Array.from(gpu.contexts, ([mm, { mirroredPages }]) => {
      const owner = ownerOf(call, (process) => process.mm === mm);
      const pages = mirroredPages === undefined ? "pages" : `${mirroredPages} pages`;
      return owner ? `  mirrors ${pages} of process ${owner.pid} (${owner.comm})` : [];
    }).flat(),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

/** "gpu0: running, 64M of private memory at 0xff8000000, map-in-place". */
function summaryOf({ name, description, device }: MachineGpu): string {
  const { state = "running", memory, policy } = device;
  const [range] = memory?.pagemap?.ranges ?? [];
  const where = range ? ` at 0x${range.start.toString(16)}` : "";
  const place = `${writeSize(description.size)} of ${description.memory} memory${where}`;
  const parts = [state, memory ? place : "no memory", policy?.name];
  return `${name}: ${parts.filter((part) => part !== undefined).join(", ")}`;
}

function ownerOf({ space }: Call, has: (process: Process) => boolean): Process | undefined {
  for (const process of space.vm.processes) if (has(process)) return process;
  return undefined;
}
