// What packages export, by the specifier that it is imported from, and where names that were exported before the rooms were
// cut are now. `exports-before.json` is the state of ffe1c97.
import { join } from "node:path";
import { parseSync } from "oxc-parser";
import before from "./exports-before.json" with { type: "json" };
import { FLOORS } from "./floors.ts";
import { packageOf, packages, readText } from "./workspace.ts";

/** Names that are exported no more, with what takes their place. */
export const REPLACED: Readonly<Record<string, string>> = {
  Rivals: "the function that `runRivals` takes",
  Profile: "`MachineParts` of `hetmem`",
  Round: "the seed alone",
  freshMachines: "the function itself: `runRivals(make, plan, endings)`",
  COPIED: "nothing: `migratePage` of `@hetmem/migrate` copies the flags",
  DaxPoison: "`MediaPoison` of `@hetmem/kernel`",
  GpuPolicy: "`MigrationPolicy` of `@hetmem/gpu/driver`",
  gpuDebugfsTable: "`gpu.debugfs`, the files of `/sys/kernel/debug/gpu0`",
  OBLIGATIONS: "`hmmDriverKit` of `@hetmem/driver-kit/hmm-driver`",
  OnlinePolicyParameters:
    "`OnlinePolicies`, and `autoMovableRatio`, `autoMovableNumaAware` as parameters of `autoMovable`",
  disableRegionByName: "`disableRegion` of `@hetmem/ndctl`, which writes the driver's `unbind`",
  enableRegionByName: "`enableRegion` of `@hetmem/ndctl`, which writes the driver's `bind`",
  formatNdctlJson: "`formatJson` of `@hetmem/shell/tool`",
  outOfMemory: "`vm.reclaim.outOfMemory()`, of the port `PageReclaim` of `@hetmem/mm/ports`",
  reclaimPages: "`vm.reclaim.reclaimPages()`, of the port `PageReclaim` of `@hetmem/mm/ports`",
  tryToFreeMemCgroupPages:
    "`vm.reclaim.tryToFreeMemCgroupPages()`, of the port `PageReclaim` of `@hetmem/mm/ports`",
  sysctlTables:
    "`vmTables` of `@hetmem/mm`, and the tables of page-cache, reclaim, hugetlb, khugepaged and migrate",
};

/** Names by specifier: `@hetmem/mm`, `@hetmem/mm/rmap`. */
export function exportsNow(): Map<string, ReadonlySet<string>> {
  const found = new Map<string, ReadonlySet<string>>();
  for (const { name, folder, manifest } of packages())
    for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
      if (typeof target === "string") continue;
      const index = readText(join(folder, target["@hetmem/source"]));
      found.set(`${name}${subpath.slice(1)}`, new Set(namesExported(index)));
    }
  return found;
}

function namesExported(index: string): string[] {
  const { module } = parseSync("index.ts", index);
  return module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ exportName }) => (exportName.name === null ? [] : [exportName.name])),
  );
}

/** Where a name that `from` exported is now: there still, else the lowest package that has it. */
function homeOf(
  name: string,
  from: string,
  now: ReadonlyMap<string, ReadonlySet<string>>,
): string | undefined {
  if (now.get(from)?.has(name)) return from;
  const floor = (specifier: string): number => FLOORS[packageOf(specifier) ?? ""] ?? Number.POSITIVE_INFINITY;
  return [...now.keys()]
    .filter((specifier) => now.get(specifier)?.has(name))
    .sort((a, b) => floor(a) - floor(b) || a.length - b.length)[0];
}

export interface Moved {
  readonly name: string;
  readonly from: string;
  /** Undefined for a name that is exported no more. */
  readonly to: string | undefined;
}

/** All names that were exported before, but for those that are where they were. */
export function movedExports(): Moved[] {
  const now = exportsNow();
  return Object.entries(before).flatMap(([from, names]) =>
    names
      .map((name) => ({ name, from, to: homeOf(name, from, now) }))
      .filter(({ to }) => to !== from)
      .sort((a, b) => a.name.localeCompare(b.name)),
  );
}

/** The page of the documentation that says so. */
export function movedExportsPage(): string {
  const moved = movedExports();
  const tables = [...new Set(moved.map(({ from }) => from))].sort().map((from) => {
    const rows = moved
      .filter((one) => one.from === from)
      .map(({ name, to }) => `| \`${name}\` | ${to === undefined ? REPLACED[name] : `\`${to}\``} |`);
    return `## ${from}\n\n| exported before | exported now |\n| --- | --- |\n${rows.join("\n")}\n`;
  });
  return `# Moved exports\n\n${INTRODUCTION}\n\n${tables.join("\n")}`;
}

const INTRODUCTION =
  "Where each name went when the packages were cut into rooms. A name that isn't listed is exported from where it was. This page is\n" +
  "generated from the indexes of the packages: `npx vitest run -u` in `tools/house` writes it anew.";
