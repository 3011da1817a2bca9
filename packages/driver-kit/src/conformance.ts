// Tries an implementation of a port against the obligations of its kit, and reports by name which of them hold. An obligation is
// tried under a number of seeds; the report has the first seed that breaks it, and that seed alone replays the failure. The
// kernel has no such kits: its ports are held to their documentation by review.
import "./version.ts";

/** A rule that callers of a port rely on, and a trial of it. */
export interface Obligation<Subject> {
  readonly name: string;
  /** The rule in one sentence. */
  readonly sentence: string;
  /**
   * Tries a subject under one seed. Equal seeds give equal trials, each on a machine of its own. A trial looks for its own
   * breach, and no other.
   *
   * @throws Violation with what was found; any other error of the subject counts as a breach, too
   */
  attempt(subject: Subject, seed: number): void;
}

/** The obligations of one port. */
export interface Kit<Subject> {
  /** The port as its interface is named: `Placement`. */
  readonly port: string;
  /** In the order in which an implementation is written. */
  readonly obligations: readonly Obligation<Subject>[];
}

/** An implementation under test, named for the report. */
export interface Named {
  readonly name: string;
}

export interface ConformanceOptions {
  /** Seeds that each obligation is tried under: 100 when absent. */
  readonly seeds?: number;
  /** The first seed: 0 when absent. With one seed, the seed of a report replays its failure. */
  readonly firstSeed?: number;
  /** Names of the obligations to try: all when absent. */
  readonly only?: readonly string[];
}

/** The outcome of one obligation. */
export interface ObligationReport {
  readonly name: string;
  readonly sentence: string;
  /** Absent when the obligation holds. */
  readonly failure?: { readonly reason: string; readonly seed: number };
}

export interface ConformanceReport {
  readonly port: string;
  /** Name of the implementation. */
  readonly subject: string;
  readonly seeds: number;
  readonly obligations: readonly ObligationReport[];
}

/**
 * Tries an implementation of a port. Errors of the implementation are failures in the report, and are never thrown.
 *
 * @throws RangeError when `only` names an obligation that the kit lacks
 */
export function checkConformance<Subject extends Named>(
  kit: Kit<Subject>,
  subject: Subject,
  { seeds = 100, firstSeed = 0, only }: ConformanceOptions = {},
): ConformanceReport {
  return {
    port: kit.port,
    subject: subject.name,
    seeds,
    obligations: chosenOf(kit, only).map((obligation) =>
      tryObligation(obligation, subject, seeds, firstSeed),
    ),
  };
}

/** Whether every obligation that was tried holds. */
export function conforms({ obligations }: ConformanceReport): boolean {
  return obligations.every(({ failure }) => failure === undefined);
}

/** A report to print: a line for each obligation, and under a failed one its sentence, seed and reason. */
export function formatConformance({ port, subject, obligations, seeds }: ConformanceReport): string {
  const held = obligations.filter(({ failure }) => failure === undefined).length;
  const lines = [
    `${subject} as ${port}: ${held} of ${obligations.length} obligations hold, under ${seeds} seeds each`,
  ];
  for (const { name, sentence, failure } of obligations) {
    lines.push(`  ${failure === undefined ? "ok    " : "FAILED"} ${name}`);
    if (failure !== undefined)
      lines.push(`         ${sentence}`, `         seed ${failure.seed}: ${failure.reason}`);
  }
  return lines.join("\n");
}

function chosenOf<Subject>(
  { port, obligations }: Kit<Subject>,
  only: readonly string[] | undefined,
): readonly Obligation<Subject>[] {
  if (only === undefined) return obligations;
  return only.map((name) => {
    const found = obligations.find((obligation) => obligation.name === name);
    if (found) return found;
    const known = obligations.map((obligation) => obligation.name).join(", ");
    throw new RangeError(`the kit of ${port} has no obligation "${name}": it has ${known}`);
  });
}

function tryObligation<Subject>(
  { name, sentence, attempt }: Obligation<Subject>,
  subject: Subject,
  seeds: number,
  firstSeed: number,
): ObligationReport {
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const reason = breachOf(() => attempt(subject, seed));
    if (reason !== undefined) return { name, sentence, failure: { reason, seed } };
  }
  return { name, sentence };
}

/** The message of an error, without the report of the schedule around it; undefined when there is none. */
function breachOf(attempt: () => void): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "ScheduleFailure" ? reasonOf(error.cause) : error.message;
}
