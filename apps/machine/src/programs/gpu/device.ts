// The device of a verb of `gpu`, and its context of a process. On a machine with one device the name may be left out.
import type { DeviceContext, GpuDevice } from "@hetmem/gpu/driver";
import { KernelError } from "@hetmem/kernel";
import { UsageProblem } from "@hetmem/shell";
import type { ProgramContext } from "../machine-program.ts";
import type { Gpus } from "../../machine/devices/gpus.ts";
import type { MachineGpu } from "../../machine/devices/machine-gpu.ts";
import type { Call } from "../verbs.ts";

/** For verbs that take one: `--gpu NAME`. */
export const GPU_OPTION: Readonly<Record<string, string>> = { gpu: "g:" };

/** Every device, or the one that `--gpu` names. @throws UsageProblem, KernelError ENODEV */
export function gpusOf({ io, options }: Call): MachineGpu[] {
  const name = options.values.get("g");
  return name === undefined ? [...present(io).all.values()] : [gpuNamed(io, name)];
}

/** The device that `--gpu` names, or the only one. @throws UsageProblem, KernelError ENODEV */
export function gpuOf(call: Call): MachineGpu {
  const [gpu, another] = gpusOf(call);
  if (!gpu) throw new UsageProblem("this machine has no gpu");
  if (another) {
    const names = [...present(call.io).all.keys()].map((name) => `--gpu ${name}`);
    throw new UsageProblem(`which one? Write ${names.join(" or ")}`);
  }
  return gpu;
}

/** @throws KernelError ENODEV */
export function gpuNamed(io: ProgramContext, name: string): MachineGpu {
  const { all } = present(io);
  const gpu = all.get(name);
  if (!gpu)
    throw new KernelError("ENODEV", `there is no ${name}: the machine has ${[...all.keys()].join(", ")}`);
  return gpu;
}

/** Refuses a request to a context that the driver of the device doesn't have. @throws KernelError ENOTTY */
export function noRequest({ name, driver }: MachineGpu, method: keyof DeviceContext): never {
  throw new KernelError(
    "ENOTTY",
    `${name} has no such request: its driver ${driver.name} has no ${method}()`,
  );
}

/** Refuses what the driver of a device can't do to it. @throws KernelError EOPNOTSUPP */
export function noOperation({ name, driver }: MachineGpu, method: keyof GpuDevice): never {
  throw new KernelError("EOPNOTSUPP", `${name} can't do this: its driver ${driver.name} has no ${method}()`);
}

/** @throws UsageProblem on a machine without */
function present({ machine }: ProgramContext): Gpus {
  const gpus = machine.devices?.gpus;
  if (!gpus || gpus.all.size === 0) throw new UsageProblem("this machine has no gpu");
  return gpus;
}
