// The report of a cgroup as text for people: its pages by cgroup, by process, by contents and by place, and then the history
// of each kill. Tables show the largest rows and add up the rest; a caller that wants all rows prints the values themselves.
import type { Attribution } from "./attribution.ts";
import type { MappingPart, ProcessPart } from "./mapped-pages.ts";
import type { OomReport } from "./oom-history.ts";
import { oomLines } from "./oom-text.ts";
import { amountText, folded, tableLines, type TableRow } from "./text-table.ts";

/** Rows of a table; the rest is added up in one row. */
const MOST_ROWS = 20;
/** Mappings below this part of their process are added up in one row. */
const SMALL_PART = 0.01;
const PROCESSES = "by process: of a page that n of them map, each has 1/n; what is in swap counts for all";

/** The attribution of a cgroup, and the kills in it and below. */
export function explainText(attribution: Attribution, ooms: readonly OomReport[]): string {
  return [...attributionLines(attribution), ...ooms.flatMap((oom) => ["", ...oomLines(oom)])]
    .map((line) => `${line}\n`)
    .join("");
}

function attributionLines(of: Attribution): string[] {
  const beside: TableRow[] = [
    { pages: [of.stocked], what: "charged in advance, in stock on cpus" },
    { pages: [of.objects], what: "objects and sockets of the kernel" },
  ].filter(({ pages: [pages = 0] }) => pages > 0);
  const holdings = of.holdings.map(({ pages, name }): TableRow => ({ pages: [pages], what: name }));
  return [
    `${of.cgroup} pays for ${amountText(of.pages)} of memory (${of.pages} pages) and ${amountText(of.swapPages)} of swap`,
    ...section(["memory", "swap", "by cgroup"], cgroupRows(of)),
    ...section(
      ["memory", "swap", PROCESSES],
      [
        ...fold(of.processes, (process) => processRows(process, of.cgroup)),
        ...(of.unmapped > 0 ? [{ pages: [of.unmapped, 0], what: "mapped by nobody" }] : []),
        ...beside.map(({ pages, what }) => ({ pages: [...pages, 0], what })),
      ],
    ),
    ...section(["memory", "by what it holds"], [...foldRows(holdings, "files"), ...beside]),
    ...section(["memory", "by where it is"], [...placeRows(of), ...beside]),
  ];
}

function section(columns: readonly string[], rows: readonly TableRow[]): string[] {
  return rows.length === 0 ? [] : ["", ...tableLines(columns, rows)];
}

/** In the order of the tree up to MOST_ROWS cgroups; the largest first beyond that. */
function cgroupRows({ cgroups }: Attribution): TableRow[] {
  const paying = cgroups.filter(({ pages, swapPages }) => pages + swapPages > 0);
  const shown =
    paying.length <= MOST_ROWS
      ? paying
      : paying.toSorted((a, b) => b.pages + b.swapPages - a.pages - a.swapPages);
  const rows = shown.map(({ path, online, pages, swapPages }): TableRow => ({
    pages: [pages, swapPages],
    what: online ? path : `${path} (removed)`,
  }));
  return foldRows(rows, "cgroups");
}

function processRows({ pid, comm, cgroup, share, swap, mappings }: ProcessPart, asked: string): TableRow[] {
  const elsewhere = cgroup === asked ? "" : `, in ${cgroup}`;
  const total = share + swap;
  const bySize = mappings.toSorted((a, b) => size(b) - size(a));
  const large = bySize.filter((part) => size(part) >= total * SMALL_PART);
  const small = bySize.slice(large.length);
  const [only] = small;
  const rest = small.length === 1 && only ? [only] : small.length === 0 ? [] : [together(small)];
  return [
    { pages: [share, swap], what: `${comm} (${pid}${elsewhere})` },
    ...[...large, ...rest].map((part) => ({ pages: [part.share, part.swap], what: `  ${part.name}` })),
  ];
}

function size({ share, swap }: Pick<MappingPart, "share" | "swap">): number {
  return share + swap;
}

function together(parts: readonly MappingPart[]): Pick<MappingPart, "name" | "share" | "swap"> {
  const sum = (of: "share" | "swap"): number => parts.reduce((all, part) => all + part[of], 0);
  return { name: `${parts.length} smaller mappings`, share: sum("share"), swap: sum("swap") };
}

/** RAM by node, then device memory by device. */
function placeRows({ nodes, devices }: Attribution): TableRow[] {
  return [
    ...nodes.map(({ node, pages, ofDevices }) => ({
      pages: [pages - ofDevices],
      what: `RAM of node ${node}`,
    })),
    ...devices.map(({ pages, device, memory }) => ({ pages: [pages], what: `${device} (${memory})` })),
  ].filter(({ pages: [pages = 0] }) => pages > 0);
}

/** The rows of the first processes, and one row for the rest. */
function fold(processes: readonly ProcessPart[], rowsOf: (process: ProcessPart) => TableRow[]): TableRow[] {
  return folded(
    processes.map((process) => rowsOf(process)),
    {
      most: MOST_ROWS,
      add: (rest) => [
        sumOf(
          rest.flatMap(([first]) => first ?? []),
          `${rest.length} more processes`,
        ),
      ],
    },
  ).flat();
}

function foldRows(rows: readonly TableRow[], name: string): TableRow[] {
  return folded(rows, { most: MOST_ROWS, add: (rest) => sumOf(rest, `${rest.length} more ${name}`) });
}

function sumOf(rows: readonly TableRow[], what: string): TableRow {
  const [first] = rows;
  const columns = (first?.pages ?? []).map((_, at) =>
    rows.reduce((sum, { pages }) => sum + (pages[at] ?? 0), 0),
  );
  return { pages: columns, what };
}
