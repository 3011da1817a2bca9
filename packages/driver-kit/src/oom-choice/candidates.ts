// Obligations about the processes that may be named. Kernel counterparts: oom_evaluate_task(), oom_unkillable_task() and
// oom_badness() in mm/oom_kill.c.
import { exitProcess, type Process } from "@hetmem/mm";
import { demand } from "../violation.ts";
import { choose, init, named, obligation, spawn } from "./trial.ts";

/** Adjustment of a process that is never killed. @see OOM_SCORE_ADJ_MIN */
const OOM_SCORE_ADJ_MIN = -1000;
/** Pages of the process that a choice by size would name, and of the others. */
const LARGE = 20;
const SMALL = 4;

export const choosesACandidate = obligation({
  name: "chooses one of the candidates",
  sentence: "The victim is one of the processes that the shortage is about, though another has more memory.",
  *try(trial) {
    const outside = yield* spawn(trial, LARGE);
    const candidates = [yield* spawn(trial, SMALL), yield* spawn(trial, SMALL + 1)];
    const chosen = choose(trial, candidates);
    demand(chosen !== outside, `${named(chosen)} is named, which is not short of memory`);
  },
});

export const choosesSomeone = obligation({
  name: "names a process when one may be killed",
  sentence: "Where a candidate may be killed, one is named: without a victim the machine stays short.",
  *try(trial) {
    const candidates: Process[] = [];
    for (let i = 0; i <= trial.seed % 3; i++) candidates.push(yield* spawn(trial, SMALL + i));
    const chosen = choose(trial, candidates);
    demand(chosen !== undefined, `none of ${candidates.length} processes that may be killed is named`);
  },
});

export const saysWhenThereIsNone = obligation({
  name: "says when there is none",
  sentence: "Without a candidate the answer is undefined.",
  *try(trial) {
    yield* spawn(trial, SMALL);
    const chosen = choose(trial, []);
    demand(chosen === undefined, `without a candidate, ${named(chosen)} is named`);
  },
});

export const sparesInit = obligation({
  name: "spares init",
  sentence: "Process 1 is never named: without it the machine ends.",
  *try(trial) {
    const first = yield* init(trial, LARGE);
    const chosen = choose(trial, [first, yield* spawn(trial, SMALL)]);
    demand(chosen !== first, "init is named");
  },
});

export const sparesProtected = obligation({
  name: "spares processes with an oom_score_adj of -1000",
  sentence: "A process whose administrator has forbidden its kill is never named, not even when it is alone.",
  *try(trial) {
    const spared = yield* spawn(trial, LARGE, OOM_SCORE_ADJ_MIN);
    const others = trial.seed % 2 === 0 ? [yield* spawn(trial, SMALL)] : [];
    demand(choose(trial, [spared, ...others]) !== spared, `process ${spared.pid}, with -1000, is named`);
  },
});

export const sparesTheExited = obligation({
  name: "spares processes without memory",
  sentence: "A process that has given its address space back frees nothing when it is killed.",
  *try(trial) {
    const gone = yield* spawn(trial, LARGE);
    const alive = yield* spawn(trial, SMALL);
    yield* exitProcess(gone);
    demand(choose(trial, [gone, alive]) !== gone, `process ${gone.pid}, which has exited, is named`);
  },
});

export const sparesTheReaped = obligation({
  name: "spares processes whose memory is reaped",
  sentence: "A victim whose memory the reaper has taken frees nothing more: another is named, or none.",
  *try(trial) {
    const reaped = yield* spawn(trial, LARGE);
    const alive = yield* spawn(trial, SMALL);
    if (reaped.mm !== undefined) reaped.mm.oom = "reaped";
    const chosen = choose(trial, [reaped, alive]);
    demand(
      chosen !== reaped && chosen !== "dying",
      `a reaped victim is left, and ${named(chosen)} is the answer`,
    );
  },
});

export const waitsForTheDying = obligation({
  name: "waits for a victim that is dying",
  sentence:
    'While a candidate is killed and not reaped yet, the answer is "dying": its memory may be enough.',
  *try(trial) {
    const candidates = [yield* spawn(trial, LARGE), yield* spawn(trial, SMALL)];
    const victim = candidates[trial.seed % 2];
    if (victim?.mm !== undefined) victim.mm.oom = "victim";
    const chosen = choose(trial, candidates);
    demand(chosen === "dying", `process ${victim?.pid} is dying, and ${named(chosen)} is named besides`);
  },
});
