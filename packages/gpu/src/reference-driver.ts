// The driver of the reference device, as a machine takes it. It drives any description. Kernel counterpart:
// hmm_dmirror_init() and dmirror_fops in lib/test_hmm.c.
import type { Sleeps } from "@hetmem/kernel";
import type { GpuDescription, GpuDevice, GpuDriver, GpuHost } from "./driver/gpu-driver.ts";
import { probeGpu } from "./gpu.ts";

export const gpuDriver: GpuDriver = { name: "gpu", match: () => true, probe };

/** @throws KernelError as probeGpu() */
function probe({ vm, pagemaps }: GpuHost, device: GpuDescription): Sleeps<GpuDevice> {
  const { name, memory, size, start, node, policy, latency } = device;
  return probeGpu({
    vm,
    pagemaps,
    name,
    memoryType: memory,
    memoryBytes: size,
    latency,
    ...(policy && { policy }),
    ...(start !== undefined && { memoryStart: start }),
    ...(node !== undefined && { node }),
  });
}
