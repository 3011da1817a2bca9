// What a cgroup pays for and why somebody of it was killed, as text for people.
import { KiB, MiB, PAGE_SIZE } from "@hetmem/kernel";
import type { Attribution } from "./attribution.ts";
import type { LimitStep, OomReport } from "./oom-history.ts";

/** A count in front of what it counts. */
type Row = readonly [pages: number, what: string];

const COLUMN = 10;
/** Above this a limit is none. */
const NO_LIMIT = 2 ** 50;

/** The attribution of a cgroup, and the kills in it and below. */
export function explainText(attribution: Attribution, ooms: readonly OomReport[]): string {
  return [...attributionLines(attribution), ...ooms.flatMap((oom) => ["", ...oomLines(oom)])]
    .map((line) => `${line}\n`)
    .join("");
}

function attributionLines(of: Attribution): string[] {
  const ahead: Row[] = [
    [of.stocked, "charged in advance, in stock on a cpu"],
    [of.objects, "objects and sockets of the kernel"],
  ];
  const beside = ahead.filter(([pages]) => pages > 0);
  return [
    `${of.cgroup} pays for ${amount(of.pages)}, and for ${amount(of.swapPages)} in swap`,
    ...table(
      "by cgroup",
      of.cgroups.map(({ pages, path, online }) => [pages, online ? path : `${path} (removed)`]),
    ),
    ...table(
      "by process (a page that n map counts 1/n)",
      of.processes.flatMap((process): Row[] => [
        [Math.round(process.share), processName(process, of.cgroup)],
        ...process.mappings.map(({ share, name, swap }): Row => [
          Math.round(share),
          `  ${name}${inSwap(swap)}`,
        ]),
      ]),
    ),
    ...table("", [...(of.unmapped > 0 ? [[of.unmapped, "mapped by nobody"] as const] : []), ...beside]),
    ...table("by what they hold", [...of.holdings.map(({ pages, name }): Row => [pages, name]), ...beside]),
    ...table(
      "by node",
      of.nodes.map(({ pages, node }) => [pages, `node ${node}`]),
    ),
    ...table(
      "of devices",
      of.devices.map(({ pages, device, memory }) => [pages, `${device} (${memory})`]),
    ),
  ];
}

function processName({ pid, comm, cgroup, swap }: Attribution["processes"][number], asked: string): string {
  const elsewhere = cgroup === asked ? "" : `, in ${cgroup}`;
  return `${comm} (${pid}${elsewhere})${inSwap(swap)}`;
}

function inSwap(pages: number): string {
  return pages === 0 ? "" : `, ${pages} in swap`;
}

function table(title: string, rows: readonly Row[]): string[] {
  if (rows.length === 0) return [];
  const lines = rows.map(([pages, what]) => `${`${pages}`.padStart(COLUMN)}  ${what}`);
  return title === "" ? lines : [`  ${title}`, ...lines];
}

function oomLines(oom: OomReport): string[] {
  const first = oom.chain[0];
  return [
    `${seconds(oom.atNs)} out of memory in ${oom.cgroup}: ` +
      `${oom.usage} of ${limit(oom.max)} pages, swap ${oom.swapUsage} of ${limit(oom.swapMax)}`,
    `  ${oom.anon} pages anonymous, ${oom.file} of files, ${oom.kernel} of the kernel; ${oom.unevictable} can't be evicted`,
    ...(first ? ["  what led to it"] : []),
    ...chainLines(oom.chain),
    "  who could have been killed (pages; the worst first)",
    ...oom.candidates
      .toSorted((a, b) => (b.badness ?? Number.NEGATIVE_INFINITY) - (a.badness ?? Number.NEGATIVE_INFINITY))
      .map(
        ({ badness, comm, pid, cgroup, anon, file, shmem, swap, oomScoreAdj }) =>
          `${`${badness ?? "never"}`.padStart(COLUMN)}  ${comm} (${pid}) in ${cgroup}: anon ${anon}, file ${file}, ` +
          `shmem ${shmem}, swap ${swap}, oom_score_adj ${oomScoreAdj}`,
      ),
    `  killed: ${[...new Set(oom.killed.map(({ comm, pid }) => `${comm} (${pid})`))].join(", ")}`,
  ];
}

/** One line for steps that are alike but for their time. */
function chainLines(chain: readonly LimitStep[]): string[] {
  const lines: { text: string; atNs: number; times: number }[] = [];
  for (const step of chain) {
    const text = stepText(step);
    const last = lines.at(-1);
    if (last?.text === text) last.times++;
    else lines.push({ text, atNs: step.atNs, times: 1 });
  }
  return lines.map(
    ({ text, atNs, times }) => `    ${seconds(atNs)} ${text}${times > 1 ? `, ${times} times` : ""}`,
  );
}

function stepText({
  comm,
  pid,
  pages,
  payer,
  over,
  usage,
  max,
  scanned,
  reclaimed,
  drained,
}: LimitStep): string {
  const who = comm === undefined ? "the kernel" : `${comm} (${pid})`;
  const where = payer === over ? over : `${over}, for ${payer}`;
  const stock = drained > 0 ? `, ${drained} taken back from cpus` : "";
  return `${who} wants ${pages} at ${usage} of ${limit(max)} in ${where}: ${scanned} looked at, ${reclaimed} freed${stock}`;
}

function limit(pages: number): string {
  return pages > NO_LIMIT ? "max" : `${pages}`;
}

function seconds(ns: number): string {
  return `[${(ns / 1e9).toFixed(6).padStart(12)}]`;
}

function amount(pages: number): string {
  const bytes = pages * PAGE_SIZE;
  const size = bytes >= MiB ? `${(bytes / MiB).toFixed(1)} MiB` : `${bytes / KiB} KiB`;
  return `${pages} ${pages === 1 ? "page" : "pages"} (${size})`;
}
