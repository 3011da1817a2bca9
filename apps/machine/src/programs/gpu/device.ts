// The device of a verb of `gpu`, and its context of a process. On a machine with one device the name may be left out.
import type { Gpu, GpuContext } from "@hetmem/gpu";
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { UsageProblem } from "@hetmem/shell";
import type { ProgramContext } from "../machine-program.ts";
import type { Gpus } from "../../machine/devices/gpus.ts";
import { type Call, processOf } from "../verbs.ts";

/** For verbs that take one: `--gpu NAME`. */
export const GPU_OPTION: Readonly<Record<string, string>> = { gpu: "g:" };

/** Every device, or the one that `--gpu` names. @throws UsageProblem, KernelError ENODEV */
export function gpusOf({ io, options }: Call): Gpu[] {
  const name = options.values.get("g");
  return name === undefined ? [...present(io).all.values()] : [gpuNamed(io, name)];
}

/** The device that `--gpu` names, or the only one. @throws UsageProblem, KernelError ENODEV */
export function gpuOf(call: Call): Gpu {
  const [gpu, another] = gpusOf(call);
  if (!gpu) throw new UsageProblem("this machine has no gpu");
  if (another) {
    const names = [...present(call.io).all.keys()].map((name) => `--gpu ${name}`);
    throw new UsageProblem(`which one? Write ${names.join(" or ")}`);
  }
  return gpu;
}

/** @throws KernelError ENODEV */
export function gpuNamed(io: ProgramContext, name: string): Gpu {
  const { all } = present(io);
  const gpu = all.get(name);
  if (!gpu)
    throw new KernelError("ENODEV", `there is no ${name}: the machine has ${[...all.keys()].join(", ")}`);
  return gpu;
}

/** The device's context of a process, whose memory is mirrored from the first call on. @throws KernelError ESRCH, ENODEV */
export function* contextOf(call: Call, gpu: Gpu, pid: string): Sleeps<GpuContext> {
  return yield* present(call.io).contextOf(gpu, processOf(call, pid));
}

/** @throws UsageProblem on a machine without */
function present({ machine }: ProgramContext): Gpus {
  const gpus = machine.devices?.gpus;
  if (!gpus || gpus.all.size === 0) throw new UsageProblem("this machine has no gpu");
  return gpus;
}
