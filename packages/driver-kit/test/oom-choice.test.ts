// The choice by badness meets every obligation, and so does the choice of docs/ports/oom-choice.md; each broken one is found by
// the obligation that it breaks.
import type { Process } from "@hetmem/mm";
import type { OomChoice, OomControl } from "@hetmem/mm/ports";
import { badnessChoice } from "@hetmem/reclaim";
import { expect, test } from "vitest";
import { youngestFirst } from "../examples/youngest-first.ts";
import { checkConformance, conforms, formatConformance } from "../src/index.ts";
import { oomChoiceKit, type OomChoiceUnderTest } from "../src/oom-choice/index.ts";

/** Two seeds of each order of the candidates. */
const SEEDS = 4;
const BROKEN_SEEDS = 2;

function choiceOf(name: string, choice: (good: OomChoice) => Partial<OomChoice>): OomChoiceUnderTest {
  return { name, create: () => ({ ...badnessChoice, ...choice(badnessChoice) }) };
}

test.each([choiceOf("badnessChoice", () => ({})), { name: "youngestFirst", create: () => youngestFirst }])(
  "$name meets every obligation",
  (choice) => {
    const report = checkConformance(oomChoiceKit, choice, { seeds: SEEDS });
    expect(conforms(report), formatConformance(report)).toBe(true);
  },
);

/** A choice that names a candidate of a kind whenever there is one. */
function naming(
  obligation: string,
  isVictim: (process: Process) => boolean,
): readonly [obligation: string, choice: OomChoiceUnderTest] {
  return [
    obligation,
    choiceOf(obligation, (good) => ({
      selectBadProcess: (control) =>
        [...control.candidates()].find(isVictim) ?? good.selectBadProcess(control),
    })),
  ];
}

function without(control: OomControl, hidden: (process: Process) => boolean): OomControl {
  return { ...control, candidates: () => [...control.candidates()].filter((process) => !hidden(process)) };
}

/** Choices that have been made by the choice that takes turns, on all machines. */
let turns = 0;

const BROKEN: readonly (readonly [obligation: string, choice: OomChoiceUnderTest])[] = [
  [
    "chooses one of the candidates",
    {
      name: "looks at all processes",
      create: (vm) => ({
        ...badnessChoice,
        selectBadProcess: (control) =>
          badnessChoice.selectBadProcess(
            [...control.candidates()].length === 2 ? { ...control, candidates: () => vm.processes } : control,
          ),
      }),
    },
  ],
  [
    "names a process when one may be killed",
    choiceOf("never names one", (good) => ({
      selectBadProcess: (control) => (good.selectBadProcess(control) === "dying" ? "dying" : undefined),
    })),
  ],
  [
    "says when there is none",
    choiceOf("expects a candidate", (good) => ({
      selectBadProcess(control) {
        const worst = [...control.candidates()].reduce((one, other) => (one.pid < other.pid ? other : one));
        return good.selectBadProcess(control) ?? (worst.oomScoreAdj === -1000 ? undefined : worst);
      },
    })),
  ],
  naming("spares init", ({ pid }) => pid === 1),
  naming("spares processes with an oom_score_adj of -1000", ({ oomScoreAdj }) => oomScoreAdj === -1000),
  naming("spares processes without memory", ({ mm }) => mm === undefined),
  naming("spares processes whose memory is reaped", ({ mm }) => mm?.oom === "reaped"),
  [
    "waits for a victim that is dying",
    choiceOf("kills on and on", (good) => ({
      selectBadProcess: (control) =>
        good.selectBadProcess(without(control, ({ mm }) => mm?.oom === "victim")),
    })),
  ],
  [
    "heeds oom_score_adj",
    choiceOf("goes by size alone", (good) => ({
      selectBadProcess: (control) => good.selectBadProcess({ ...control, totalPages: 0 }),
    })),
  ],
  ["rates the process that it names", choiceOf("rates none", () => ({ oomBadness: () => undefined }))],
  [
    "gives no rating to the spared",
    choiceOf("rates all", (good) => ({
      oomBadness: (process, totalPages) => good.oomBadness(process, totalPages) ?? 0,
    })),
  ],
  [
    "changes nothing",
    choiceOf("marks its victim", (good) => ({
      selectBadProcess(control) {
        const chosen = good.selectBadProcess(control);
        if (chosen !== undefined && chosen !== "dying" && chosen.mm) chosen.mm.oom = "victim";
        return chosen;
      },
    })),
  ],
  [
    "gives machines that are alike the same answer",
    choiceOf("takes turns", (good) => ({
      selectBadProcess(control) {
        const candidates = [...control.candidates()];
        const alike = candidates.length === 3 && new Set(candidates.map(({ mm }) => mm?.rssPages)).size === 1;
        return alike ? candidates[turns++ % 3] : good.selectBadProcess(control);
      },
    })),
  ],
];

test.each(BROKEN)("a choice that breaks '%s' is found out, and of nothing else", (name, choice) => {
  const report = checkConformance(oomChoiceKit, choice, { seeds: BROKEN_SEEDS });
  const failed = report.obligations.filter(({ failure }) => failure !== undefined);
  expect(
    failed.map((each) => each.name),
    formatConformance(report),
  ).toEqual([name]);
});

test("every obligation has a choice that breaks it", () => {
  expect(BROKEN.map(([name]) => name)).toEqual(oomChoiceKit.obligations.map(({ name }) => name));
});
