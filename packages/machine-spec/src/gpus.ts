// Gpus of a machine file: size, kind and place of their memory, the name of the policy by which pages migrate to it, and the
// latency of the bus. When the machine boots, it looks for a policy of that name among its own, and for a driver.
import { type DmaLatency, noLatency, pcieLatency } from "@hetmem/gpu/driver";
import { isAligned, nodeId, PAGE_SIZE, physAddr } from "@hetmem/kernel";
import type { DeviceLine } from "./devices.ts";
import type { GpuSpec, NodeSpec } from "./machine-spec.ts";
import type { SpecProblem } from "./problem.ts";
import type { MachineFile } from "./yaml-schema.ts";

type GpuFile = NonNullable<MachineFile["gpus"]>[number];

/** A name that can be a file of /dev. */
const NAME = /^[a-z][a-z0-9_-]*$/;
/** Alignment of memory that gets struct pages as ZONE_DEVICE. @see SUBSECTION_SIZE in include/linux/mmzone.h */
const SUBSECTION = 2 * 1024 * 1024;

/** The gpus of a file. One without a name is called gpu0, gpu1 and so on. */
export function gpusOf({ gpus = [] }: MachineFile): GpuSpec[] {
  return gpus.map((gpu, index) => ({
    name: nameOf(gpu, index),
    memory: gpu.memory ?? "private",
    size: gpu.size,
    latency: latencyOf(gpu.latency),
    ...(gpu.policy !== undefined && { policy: gpu.policy }),
    ...(gpu.start !== undefined && { start: physAddr(gpu.start) }),
    ...(gpu.node !== undefined && { node: nodeId(gpu.node) }),
  }));
}

/** Lines of /proc/iomem for memory that the firmware has placed. Memory without a place gets one at boot. */
export function placedGpus(gpus: readonly GpuSpec[]): DeviceLine[] {
  return gpus.flatMap(({ name, start, size }, index) => {
    if (start === undefined) return [];
    const entry = { start, end: physAddr(start + size - 1), name, children: [] };
    return [{ entry, path: ["gpus", index] }];
  });
}

/** Problems of gpus, except for overlaps, which deviceProblems() finds. */
export function* gpuProblems({ gpus = [] }: MachineFile, nodes: readonly NodeSpec[]): Generator<SpecProblem> {
  const names = gpus.map(nameOf);
  for (const [index, gpu] of gpus.entries()) {
    const path = ["gpus", index];
    const name = names[index] ?? "";
    if (!NAME.test(name))
      yield {
        path: [...path, "name"],
        message: `"${name}" can't be the name of a file in /dev; use small letters, digits, - and _`,
      };
    if (names.indexOf(name) < index)
      yield { path: [...path, "name"], message: `${name} is there already; give each gpu its own name` };
    if (gpu.size === 0 || !isAligned(gpu.size, PAGE_SIZE))
      yield { path: [...path, "size"], message: "a gpu has whole pages of memory; use a multiple of 4K" };
    if (gpu.node !== undefined && !nodes.some(({ id }) => id === gpu.node))
      yield { path: [...path, "node"], message: `there is no node ${gpu.node}; add it to nodes` };
    yield* placeProblems(gpu, path);
  }
}

/** Problems of `start`: the firmware gives addresses to coherent memory only. */
function* placeProblems({ memory, start, size }: GpuFile, path: SpecProblem["path"]): Generator<SpecProblem> {
  if (start === undefined) return;
  const here = [...path, "start"];
  if (memory !== "coherent")
    yield { path: here, message: "private memory has no address before the machine boots; leave start out" };
  else if (!isAligned(start, SUBSECTION) || !isAligned(size, SUBSECTION))
    yield { path: here, message: "memory that has a place begins and ends at multiples of 2M" };
}

function nameOf({ name }: GpuFile, index: number): string {
  return name ?? `gpu${index}`;
}

function latencyOf(latency: GpuFile["latency"]): DmaLatency {
  if (latency === undefined || latency === "none") return noLatency;
  if (latency === "pcie") return pcieLatency;
  return { setupNs: latency.setup_ns, kibNs: latency.kib_ns, flushNs: latency.flush_ns };
}
