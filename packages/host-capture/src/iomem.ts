// A host's /proc/iomem as plain entries, and the System RAM in it. Both ends of an entry are inclusive bytes, as in the file;
// ranges of memory end before their end. Kernel counterparts: kernel/resource.c, and walk_system_ram_range() in it.
import { KernelError, PAGE_SIZE, physAddr, plainText } from "@hetmem/kernel";
import { parseIomem, type Resource } from "@hetmem/resource";
import type { IomemEntry, MemoryRange } from "@hetmem/machine-spec";

/**
 * Reads /proc/iomem.
 *
 * @param file how the file is called in a sentence
 * @throws KernelError EINVAL that names the line, EPERM if addresses were hidden from the reader
 */
export function readIomem(text: string, file = "/proc/iomem"): IomemEntry[] {
  const tree = nameFile(file, () => parseIomem(text));
  if (tree.children.length === 0) throw new KernelError("EINVAL", `${file} is empty: capture the file again`);
  return tree.children.map(entryOf);
}

/** Everything in the tree, parents before their children. */
export function* walkIomem(iomem: readonly IomemEntry[]): Generator<IomemEntry> {
  for (const entry of iomem) {
    yield entry;
    yield* walkIomem(entry.children);
  }
}

/**
 * System RAM at any depth of the tree, as whole pages. RAM of kmem and virtio-mem is below the line of a device.
 *
 * @returns ascending, adjacent ranges joined
 */
export function systemRam(iomem: readonly IomemEntry[]): MemoryRange[] {
  const ram = [...walkIomem(iomem)]
    .filter((entry) => entry.name.startsWith("System RAM"))
    .map((entry) => ({ start: wholePage(entry.start, Math.ceil), end: wholePage(entry.end + 1, Math.floor) }))
    .filter((range) => range.start < range.end)
    .sort((a, b) => a.start - b.start);
  const joined: MemoryRange[] = [];
  for (const range of ram) {
    const last = joined.at(-1);
    if (last && last.end === range.start) joined[joined.length - 1] = { start: last.start, end: range.end };
    else joined.push(range);
  }
  return joined;
}

function entryOf({ start, end, name, children }: Resource): IomemEntry {
  return {
    start: physAddr(start),
    end: physAddr(end),
    name: plainText(name),
    children: children.map(entryOf),
  };
}

/** Adds the name of the file, and the fix, to an error. */
function nameFile<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (error.errno === "EPERM")
      throw new KernelError(
        "EPERM",
        `${file} shows every address as zero to readers without privilege: read it as root`,
      );
    throw new KernelError(error.errno, `${file}: ${error.reason}: capture the file again`);
  }
}

function wholePage(bytes: number, round: (pages: number) => number): IomemEntry["start"] {
  return physAddr(round(bytes / PAGE_SIZE) * PAGE_SIZE);
}
