// Obligations about the answers: what user space has asked for, what it is shown, and what an answer may do. Kernel counterparts:
// oom_badness() in mm/oom_kill.c, proc_oom_score() in fs/proc/base.c.
import type { Process } from "@hetmem/mm";
import { freePages } from "../machine.ts";
import { demand } from "../violation.ts";
import { choose, createTrial, named, obligation, shortage, spawn, type Trial } from "./trial.ts";

/** Pages of two processes that are alike. */
const PAGES = 8;

export const heedsTheAdjustment = obligation({
  name: "heeds oom_score_adj",
  sentence: "Of two processes that are alike, the one with the lower oom_score_adj isn't named.",
  *try(trial) {
    const adj = 200 + (trial.seed % 5) * 100;
    const willing = yield* spawn(trial, PAGES, adj);
    const spared = yield* spawn(trial, PAGES, trial.seed % 2 === 0 ? 0 : -adj);
    const chosen = choose(trial, trial.seed % 4 < 2 ? [willing, spared] : [spared, willing]);
    demand(
      chosen !== spared,
      `process ${spared.pid} has ${spared.oomScoreAdj}, process ${willing.pid} has ${adj}, and ${named(chosen)} is named`,
    );
  },
});

export const ratesTheChosen = obligation({
  name: "rates the process that it names",
  sentence: "The process that is named has a badness, which /proc/PID/oom_score shows.",
  *try(trial) {
    const candidates = [yield* spawn(trial, PAGES), yield* spawn(trial, 2 * PAGES)];
    const chosen = choose(trial, candidates);
    if (chosen === undefined || chosen === "dying") return;
    const badness = trial.choice.oomBadness(chosen, shortage(candidates).totalPages);
    demand(badness !== undefined, `${named(chosen)} is named, and has no badness`);
  },
});

export const ratesNoneThatItSpares = obligation({
  name: "gives no rating to the spared",
  sentence: "A process with an oom_score_adj of -1000 has no badness.",
  *try(trial) {
    const spared = yield* spawn(trial, PAGES, -1000);
    const badness = trial.choice.oomBadness(spared, shortage([spared]).totalPages);
    demand(badness === undefined, `a process that is never killed has a badness of ${badness}`);
  },
});

export const changesNothing = obligation({
  name: "changes nothing",
  sentence: "To choose and to rate are questions: marking, killing and reaping are the caller's.",
  *try(trial) {
    const candidates = [yield* spawn(trial, PAGES), yield* spawn(trial, 2 * PAGES)];
    const before = stateOf(trial, candidates);
    choose(trial, candidates);
    for (const process of candidates) trial.choice.oomBadness(process, shortage(candidates).totalPages);
    const after = stateOf(trial, candidates);
    demand(before === after, `${before} became ${after}`);
  },
});

export const answersAlike = obligation({
  name: "gives machines that are alike the same answer",
  sentence:
    "The choice depends on the machine alone, so that a seed replays: not on chance, time or other machines.",
  *try(trial, subject) {
    const answers: string[] = [];
    for (const each of [trial, createTrial(subject, trial.seed), createTrial(subject, trial.seed)]) {
      const candidates: Process[] = [];
      for (let i = 0; i < 3; i++) candidates.push(yield* spawn(each, PAGES));
      answers.push(named(choose(each, candidates)));
    }
    demand(new Set(answers).size === 1, `three machines alike name ${answers.join(", ")}`);
  },
});

/** What an answer must not change, in words. */
function stateOf({ machine }: Trial, candidates: readonly Process[]): string {
  const ofProcess = ({ pid, killed, signals, oomScoreAdj, mm }: Process): string =>
    `process ${pid} (adj ${oomScoreAdj}, ${signals.length} signals${killed ? ", killed" : ""}, oom ${mm?.oom}, ${mm?.rssPages} pages)`;
  return `${candidates.map(ofProcess).join(", ")}, ${freePages(machine)} free pages`;
}
