// The devices of a machine that compute: each is probed at boot, with its memory plugged in. Their drivers mirror the memory
// of a process from its first request until it ends. Kernel counterparts: hmm_dmirror_init() in lib/test_hmm.c, and what a
// module's probe and its file's release do.
import { Gpu, type GpuContext, gpuDebugfsTable } from "@hetmem/gpu";
import { errnoNumber, KernelError, PAGE_SIZE, run, type Sleeps, writeSize } from "@hetmem/kernel";
import { MEMORY_TYPES, type Pagemaps } from "@hetmem/memremap";
import { mmgetNotZero, mmput, type Process, type Vm } from "@hetmem/mm";
import type { AttributeTable } from "@hetmem/vfs";
import type { GpuSpec } from "@hetmem/machine-spec";

export class Gpus {
  /** By name, in the order of the specification. */
  readonly all: ReadonlyMap<string, Gpu>;

  constructor(specs: readonly GpuSpec[], vm: Vm, pagemaps: Pagemaps) {
    const all = new Map<string, Gpu>();
    for (const spec of specs) {
      const gpu = probe(spec, vm, pagemaps);
      if (gpu) all.set(gpu.name, gpu);
    }
    this.all = all;
  }

  /** Opens a device for a process, whose memory the device mirrors from then on until the process ends. @throws KernelError ESRCH, and the errors of Gpu.open() */
  *contextOf(gpu: Gpu, process: Process): Sleeps<GpuContext> {
    const { mm, pid } = process;
    if (!mm) throw new KernelError("ESRCH", `process ${pid} has exited`);
    for (const context of gpu.contexts) if (context.mm === mm) return context;
    // A process that opens a device itself can't end meanwhile. Here the shell opens it in its place.
    if (!mmgetNotZero(mm)) throw new KernelError("ESRCH", `mm ${mm.id} has ended`);
    try {
      const context = yield* gpu.open(mm);
      if (process.mm) {
        process.closing.add(() => context.close());
        return context;
      }
      // The process has closed its files meanwhile, and would never close this one.
      yield* context.close();
      throw new KernelError("ESRCH", `process ${pid} has exited`);
    } finally {
      yield* mmput(mm);
    }
  }

  /** /sys/kernel/debug/gpu0 and so on. */
  get tables(): AttributeTable[] {
    return Array.from(this.all.values(), gpuDebugfsTable);
  }
}

/** A device whose memory finds no place isn't there, and the log says so. */
function probe(spec: GpuSpec, vm: Vm, pagemaps: Pagemaps): Gpu | undefined {
  const { name, memory, size, start, node, policy, latency } = spec;
  const gpu = new Gpu({
    vm,
    pagemaps,
    name,
    memoryType: memory,
    memoryBytes: size,
    policy,
    latency,
    ...(start !== undefined && { memoryStart: start }),
    ...(node !== undefined && { node }),
  });
  const { log } = vm.kernel;
  try {
    run(gpu.memory.plug());
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    log.printk(3, `gpu ${name}: ${error.reason}`);
    log.printk(4, `gpu: probe of ${name} failed with error ${-errnoNumber(error.errno)}`);
    return undefined;
  }
  log.printk(6, `${name}: ${memoryText(gpu)}, ${gpu.policy.name}`);
  return gpu;
}

/** "64M of MEMORY_DEVICE_PRIVATE at [mem 0xff8000000-0xffbffffff]". */
function memoryText({ memory }: Gpu): string {
  if (!memory.pagemap) return "no memory";
  const { type, ranges } = memory.pagemap;
  const { start } = ranges[0] ?? { start: 0 };
  const size = memory.pages * PAGE_SIZE;
  const where = `[mem 0x${start.toString(16)}-0x${(start + size - 1).toString(16)}]`;
  return `${writeSize(size)} of ${MEMORY_TYPES[type].name} at ${where}`;
}
