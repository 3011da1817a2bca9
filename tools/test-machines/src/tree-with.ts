// Trees for tests: a capture with some of its files changed or taken away.
import type { HostTree } from "@hetmem/host-capture";
import { BUNDLED_CAPTURES, openTree } from "@hetmem/host-capture/node";

/** The bundled capture with other contents at some paths; undefined takes a file, or a folder with all in it, away. */
export function captureWith(
  changes: Readonly<Record<string, string | undefined>>,
  base: HostTree = openTree(BUNDLED_CAPTURES["hidden-ram"]),
): HostTree {
  const gone = Object.keys(changes).filter((path) => changes[path] === undefined);
  const isGone = (path: string): boolean =>
    gone.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));
  return {
    ...base,
    name: "capture",
    read: (path) => (isGone(path) ? undefined : (changes[path] ?? base.read(path))),
    readBytes: (path) => (isGone(path) ? undefined : base.readBytes(path)),
    list: (path) => (isGone(path) ? [] : base.list(path).filter((name) => !isGone(`${path}/${name}`))),
  };
}

/** The bundled capture with a block of 128 MiB at 4 GiB that the kmem driver had added, and that is offline. */
export function captureWithOfflineKmem(): HostTree {
  const device =
    "100000000-107ffffff : Soft Reserved\n  100000000-107ffffff : dax0.0\n    100000000-107ffffff : System RAM (kmem)\n";
  const base = openTree(BUNDLED_CAPTURES["hidden-ram"]);
  return captureWith(
    {
      "/proc/iomem": (base.read("/proc/iomem") ?? "").replace("1280000000-", `${device}1280000000-`),
      "/sys/devices/system/memory/memory32/state": "offline\n",
    },
    {
      ...base,
      list: (path: string) => [
        ...base.list(path),
        ...(path === "/sys/devices/system/memory" ? ["memory32"] : []),
      ],
    },
  );
}

/** A tree of these files alone. */
export function treeOf(files: Readonly<Record<string, string>>): HostTree {
  const paths = Object.keys(files);
  return {
    name: "made",
    live: false,
    read: (path) => files[path],
    readBytes: (path) => (files[path] === undefined ? undefined : new TextEncoder().encode(files[path])),
    list: (folder) => {
      const inside = paths
        .filter((path) => path.startsWith(`${folder}/`))
        .map((path) => path.slice(folder.length + 1));
      return [...new Set(inside.map((path) => path.split("/")[0] ?? ""))].sort();
    },
  };
}

/** A populated zone as /proc/zoneinfo prints it. */
export function zoneText(
  node: number,
  name: string,
  startPfn: number,
  pages: { spanned: number; present?: number; managed?: number; free?: number },
): string {
  const { spanned, present = spanned, managed = present, free = managed } = pages;
  return [
    `Node ${node}, zone ${name.padStart(8)}`,
    `  pages free     ${free}`,
    "        min      1",
    "        low      2",
    "        high     3",
    `        spanned  ${spanned}`,
    `        present  ${present}`,
    `        managed  ${managed}`,
    "        protection: (0, 0, 0, 0, 0)",
    "  pagesets",
    `  start_pfn:           ${startPfn}`,
    "",
  ].join("\n");
}
