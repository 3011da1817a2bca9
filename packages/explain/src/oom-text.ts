// The report of one kill as text for people: the shortage, the attempts to make room, and the candidates with their badness.
// The kernel prints a part of it to its log: dump_header() and dump_tasks() in mm/oom_kill.c.
import type { LimitStep } from "@hetmem/memcg";
import type { OomCandidate, OomReport } from "./oom-history.ts";
import { amountText, NO_LIMIT, sizeText, tableLines, type TableRow } from "./text-table.ts";

const SHORTAGES: Readonly<Record<OomReport["shortage"], (cgroup: string) => string>> = {
  cgroup: (cgroup) => cgroup,
  machine: () => "the machine",
  nodes: () => "the nodes of a memory policy",
};

/** Steps in a row that are alike: see isAlike(). */
interface Attempts {
  readonly first: LimitStep;
  readonly times: number;
  readonly scanned: number;
  readonly reclaimed: number;
  readonly drained: number;
}

/** The lines of one report. */
export function oomLines(oom: OomReport): string[] {
  const { usage, max, swapUsage, swapMax, swapFree } = oom;
  const swapLimit = swapMax < NO_LIMIT ? ` of ${amountText(swapMax)}` : "";
  return [
    `${seconds(oom.atNs)} out of memory: ${SHORTAGES[oom.shortage](oom.cgroup)}. Killed: ${killedText(oom)}`,
    `  memory in use ${amountText(usage)} of ${amountText(max)}, swap ${amountText(swapUsage)}${swapLimit}` +
      (oom.shortage === "cgroup" ? `; the machine had ${amountText(swapFree)} of swap left` : ""),
    `  of the memory: anonymous ${amountText(oom.anon)}, files ${amountText(oom.file)}, kernel ${amountText(oom.kernel)}` +
      (oom.unevictable > 0 ? `; locked ${amountText(oom.unevictable)}` : ""),
    ...(oom.chain.length > 0 ? ["  what led to it"] : []),
    ...attemptsOf(oom.chain).map((attempts) => `    ${attemptsText(attempts)}`),
    "",
    ...tableLines(
      ["badness", "anon", "file", "shmem", "swap", "who could have been killed"],
      oom.candidates.toSorted(worstFirst).map((candidate) => candidateRow(candidate, oom)),
    ),
  ];
}

/** The victims, each once: the first of a memory.oom.group is in the report twice. */
function killedText({ killed }: OomReport): string {
  return [...new Set(killed.map(({ comm, pid, cgroup }) => `${comm} (${pid}) in ${cgroup}`))].join(", ");
}

function worstFirst(a: OomCandidate, b: OomCandidate): number {
  return (b.badness ?? Number.NEGATIVE_INFINITY) - (a.badness ?? Number.NEGATIVE_INFINITY);
}

function candidateRow(
  { pid, comm, cgroup, badness, anon, file, shmem, swap, oomScoreAdj }: OomCandidate,
  { killed }: OomReport,
): TableRow {
  const notes = [
    ...(oomScoreAdj === 0 ? [] : [`oom_score_adj ${oomScoreAdj}`]),
    ...(badness === undefined ? ["can't be killed"] : []),
    ...(killed.some((victim) => victim.pid === pid) ? ["killed"] : []),
  ];
  return {
    pages: [badness === undefined ? undefined : Math.max(0, badness), anon, file, shmem, swap],
    what: [`${comm} (${pid}) in ${cgroup}`, ...notes].join(", "),
  };
}

/** Steps in a row merged where they ask for the same, and reclaim freed something in all or nothing in all. */
function attemptsOf(chain: readonly LimitStep[]): Attempts[] {
  const found: Attempts[] = [];
  for (const step of chain) {
    const last = found.at(-1);
    const { scanned, reclaimed, drained } = step;
    if (last && isAlike(last.first, step))
      found[found.length - 1] = {
        first: last.first,
        times: last.times + 1,
        scanned: last.scanned + scanned,
        reclaimed: last.reclaimed + reclaimed,
        drained: last.drained + drained,
      };
    else found.push({ first: step, times: 1, scanned, reclaimed, drained });
  }
  return found;
}

function isAlike(a: LimitStep, b: LimitStep): boolean {
  return (
    a.pid === b.pid &&
    a.pages === b.pages &&
    a.payer === b.payer &&
    a.over === b.over &&
    a.max === b.max &&
    a.reclaimed > 0 === b.reclaimed > 0
  );
}

function attemptsText({ first, times, scanned, reclaimed, drained }: Attempts): string {
  const { atNs, comm, pid, pages, payer, over, max } = first;
  const who = comm === undefined ? "the kernel" : `${comm} (${pid})`;
  // The limit of the machine is its RAM.
  const limit = over === "/" ? "the machine has" : `${over} may have`;
  const where = payer === over || over === "/" ? "" : ` for ${payer}`;
  const attempts = times === 1 ? "" : ` in ${times} attempts`;
  const result = reclaimed === 0 ? "freed nothing" : `freed ${sizeText(reclaimed)}`;
  const looked = scanned === 0 ? "found nothing to look at" : `looked at ${sizeText(scanned)}, ${result}`;
  const stock = drained > 0 ? `; ${sizeText(drained)} came back from the stocks of cpus` : "";
  return (
    `${seconds(atNs)} ${who} wanted ${sizeText(pages)}${where} beyond the ${amountText(max)} that ${limit}: ` +
    `reclaim ${looked}${attempts}${stock}`
  );
}

function seconds(ns: number): string {
  return `[${(ns / 1e9).toFixed(6).padStart(12)}]`;
}
