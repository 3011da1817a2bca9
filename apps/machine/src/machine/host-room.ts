// The host's memory that a machine takes. Its memmap grows with the memory that is touched, up to the size for all memory
// that the machine may ever have. The host commits what is touched; a limit on the address space (ulimit -v) counts all of it.
import { alignUp, GiB, KernelError, KiB, PAGE_SIZE } from "@hetmem/kernel";
import { HostMemoryError, hostSize, MAX_PAGES, MEMMAP_PAGE_BYTES, SECTION_SIZE } from "@hetmem/page";
import type { MachineSpec } from "@hetmem/machine-spec";

/** Room for memory that is added later, where the specification doesn't say how much. */
const HOTPLUG_ROOM = 64 * GiB;
/** Bytes that each page has beside its struct page: the id of its cgroup. */
const OWNER_BYTES = Uint16Array.BYTES_PER_ELEMENT;
/** Bytes of each page of a gpu beside its struct page: its state, and its place among the free ones. */
const GPU_PAGE_BYTES = Uint8Array.BYTES_PER_ELEMENT + Int32Array.BYTES_PER_ELEMENT;
/** Bytes of each slot of swap: its count, its page and its cgroup. */
const SWAP_SLOT_BYTES =
  Uint8Array.BYTES_PER_ELEMENT + Int32Array.BYTES_PER_ELEMENT + Uint16Array.BYTES_PER_ELEMENT;
/** Bytes that Node reserves for itself before there is a machine, measured with version 20. */
const NODE_BYTES = 1.25 * GiB;

/** Pages that a machine can ever have at once. */
export function maxPages(spec: MachineSpec): number {
  const boot = [...spec.nodes.flatMap((node) => node.memory), ...spec.hidden, ...(spec.offline ?? [])];
  const bytes = boot.reduce(
    (sum, range) => sum + range.end - range.start,
    deviceBytes(spec.iomem) + gpuBytes(spec),
  );
  return Math.min(MAX_PAGES, Math.ceil((spec.maxMemory ?? bytes + HOTPLUG_ROOM) / PAGE_SIZE));
}

/** Bytes of address space that hetmem needs to boot a machine, about. */
export function hostBytes(spec: MachineSpec): number {
  const { gpus = [], swap = [] } = spec;
  const gpuPages = gpus.reduce((sum, { size }) => sum + size / PAGE_SIZE, 0);
  const swapSlots = swap.reduce((sum, { size }) => sum + size / PAGE_SIZE, 0);
  return (
    NODE_BYTES +
    maxPages(spec) * (MEMMAP_PAGE_BYTES + OWNER_BYTES) +
    gpuPages * GPU_PAGE_BYTES +
    swapSlots * SWAP_SLOT_BYTES
  );
}

/**
 * Builds a machine, or says how much memory hetmem needs for it.
 *
 * @throws KernelError ENOMEM when the host has no room for the machine
 */
export function withHostRoom<T>(spec: MachineSpec, build: () => T): T {
  try {
    return build();
  } catch (error) {
    const reason = hostMemoryReason(error);
    if (reason === undefined) throw error;
    const needed = hostBytes(spec);
    throw new KernelError(
      "ENOMEM",
      `${reason}: this machine needs about ${hostSize(needed)} of address space in all; raise the limit (ulimit -v ${Math.ceil(needed / KiB)}) or use a machine with less memory or a smaller max_memory`,
    );
  }
}

/** Why the host gave no memory; undefined for any other error. V8 gives no array that the process may not have. */
export function hostMemoryReason(error: unknown): string | undefined {
  if (error instanceof HostMemoryError) return error.message;
  return error instanceof RangeError && error.message.includes("allocation failed")
    ? "the host gives hetmem no more memory"
    : undefined;
}

/** Memory of devices that may get struct pages. */
function deviceBytes(iomem: MachineSpec["iomem"]): number {
  return iomem.reduce(
    (sum, { name, start, end, children }) =>
      sum + (/^(Persistent Memory|Soft Reserved)/.test(name) ? end + 1 - start : deviceBytes(children)),
    0,
  );
}

/** Memory of gpus, each in sections of its own. */
function gpuBytes({ gpus = [] }: MachineSpec): number {
  return gpus.reduce((sum, { size }) => sum + alignUp(size, SECTION_SIZE) + SECTION_SIZE, 0);
}
