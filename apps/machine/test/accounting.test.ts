// What a real kernel said of a process while its pages went to a device and came back, stage by stage, against what this
// machine says of one that does the same. Every line is compared. The captured process has a C library with memory of its
// own, and its kernel adds up some counters in batches: for each such counter the bounds of the difference are said once, for
// all stages, so that whatever moves between stages by more than that must agree.
import { readFileSync } from "node:fs";
import { GpuContext } from "@hetmem/gpu";
import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";
import { accounting } from "./accounting-program.ts";

const CAPTURE = readFileSync(new URL("fixtures/accounting.txt", import.meta.url), "utf8");
/** The captured machine, as far as memory goes. */
const MACHINE = `
physical_bits: 40
nodes:
  - { memory: 1G, cpus: 0 }
  - { memory: 1G, cpus: 1 }
gpus:
  - { name: hmm_dmirror0, size: 256M }
`;

/** The fields that differ from the capture, each with the reason. */
const MASKS: readonly (readonly [reason: string, pattern: RegExp, replacement: string])[] = [
  [
    "how much of its file a program has in memory depends on the program; VmRSS counts it, too",
    /^(file|VmRSS:|RssFile:)\s+\d+/,
    "$1 <files>",
  ],
  [
    "which frame is free depends on every allocation since boot; that kernel didn't track soft-dirty pages",
    /^(pagemap\[0\] [08][01])[08]0{4}[0-9a-f]{9}$/,
    "$1 <frame>",
  ],
  [
    "the same of a device's frame; the last bits say what kind of entry it is",
    /^(pagemap\[0\] 4[01])[08]0{4}[0-9a-f]{7}[0-9a-f]([0-9a-f])$/,
    "$1 <frame> $2",
  ],
];

/** A counter that the captured process has more of. */
interface Surplus {
  readonly reason: string;
  /** Bytes or kB of one of them; 1 where it counts. */
  readonly unit: number;
  readonly least: number;
  readonly most: number;
}

/** Pages that the C library, its heap and the shell behind it have, all of them in the cgroup. */
const LIBRARY = 28;
/** Of those, pages of the process itself. */
const OWN = 14;
/** MEMCG_CHARGE_BATCH: pages that a cpu charges at once, and hands out one by one. */
const CHARGED_AT_ONCE = 64;
/** PAGEVEC_SIZE: pages that a cpu keeps before it puts them on a list of the LRU. */
const NOT_LISTED_YET = 15;
/** TASK_RSS_EVENTS_THRESH: faults of a task between which it tells its address space nothing. */
const NOT_TOLD_YET = 64;

const SURPLUS: Readonly<Record<string, Surplus>> = {
  anon: {
    reason: "pages of the C library; a child copies up to twelve of those that it writes to",
    unit: 4096,
    least: LIBRARY,
    most: LIBRARY + 12,
  },
  "memory.current": {
    reason:
      "those, 89 of files, tables and stacks, and of a batch what is left: its processes may run on another cpu",
    unit: 4096,
    least: LIBRARY + 89,
    most: LIBRARY + 89 + CHARGED_AT_ONCE,
  },
  pagetables: {
    reason:
      "tables cover what the address space has elsewhere: fewer there, whose first mapping above shares one",
    unit: 4096,
    least: -4,
    most: -2,
  },
  active_anon: { reason: "one page of the library", unit: 4096, least: 1, most: 1 },
  inactive_anon: {
    reason: "the others, but for those that a cpu has not put on a list yet: each comes at once here",
    unit: 4096,
    least: LIBRARY - 1 - NOT_LISTED_YET,
    most: LIBRARY - 1 + 12,
  },
  pgfault: {
    reason: "faults on its own pages and on those of its files, which it goes on to make",
    unit: 1,
    least: 182,
    most: 230,
  },
  "RssAnon:": {
    reason:
      "its own pages, but for those that the task has not told its address space of: each counts at once here",
    unit: 4,
    least: OWN - NOT_TOLD_YET,
    most: OWN,
  },
};

const printed = replay();

test("a process whose pages go to a device and back is accounted for as the captured kernel did, at each stage", () => {
  expect(masked(withoutLibrary(captured(CAPTURE)))).toBe(masked(printed));
});

test.each([
  ["a count of pages", "anon 6430720", "anon 8523776"],
  ["a part of smaps", "Private_Dirty:      2052 kB", "Private_Dirty:      2048 kB"],
  ["a page's bit of exclusivity", "40000001f9fffffb", "41000001f9fffffb"],
  ["a kind of special entry", "41000001f9fffffa", "41000001f9fffffb"],
  ["a byte of a snapshot", "first=01 last=21", "first=21 last=21"],
  ["a page that mincore has", "mincore[0] 0", "mincore[0] 1"],
  ["what the driver answers", "again rc=-1", "again rc=0"],
  ["what a child reads", "child reads 5", "child reads 0"],
])("a capture with %s changed by hand is found to differ", (_what, line, other) => {
  const changed = CAPTURE.replaceAll(line, other);
  expect(changed).not.toBe(CAPTURE);
  expect(masked(withoutLibrary(captured(changed)))).not.toBe(masked(printed));
});

test.each(Object.entries(SURPLUS))(
  "a capture with more of %s than that at any stage is found to differ",
  (name, surplus) => {
    const lines = captured(CAPTURE);
    const stages = lines.flatMap((line, at) => (nameIn(line) === name ? [at] : []));
    expect(stages).toHaveLength(11);
    const beyond = (surplus.most - surplus.least + 1) * surplus.unit;
    for (const at of stages)
      for (const change of [beyond, -beyond]) {
        const changed = lines.with(
          at,
          (lines[at] ?? "").replace(/\d+/, (value) => `${Number(value) + change}`),
        );
        expect(masked(withoutLibrary(changed))).not.toBe(masked(printed));
      }
  },
);

function replay(): string[] {
  const machine = createMachine(machineOfYaml(MACHINE, "oracle.yaml", "v6.1"));
  const gpu = machine.devices.gpus.all.get("hmm_dmirror0");
  if (!gpu) throw new Error("the device didn't come up");
  // CONFIG_TRANSPARENT_HUGEPAGE_ALWAYS
  machine.vm.tunables.transparentHugepage = "always";
  const shell = new Shell(machine, PROGRAMS);
  run(shell.execute("cd /sys/fs/cgroup; echo +memory > cgroup.subtree_control; mkdir t"));
  const { stdout } = run(shell.execute("(echo 0 > /sys/fs/cgroup/t/cgroup.procs; proc start accounting)"));
  const process = machine.vm.processes.get(Number(stdout));
  const device = run(
    gpu.request(process, function* (context) {
      return context;
    }),
  );
  if (!(device instanceof GpuContext)) throw new Error("another driver has the device");
  return accounting(machine, device, process);
}

/** The lines of the program. Its child began with what the parent had printed and not yet written: that comes once. */
function captured(text: string): string[] {
  const lines = text.split("\n");
  const all = lines.slice(
    1,
    lines.findIndex((line, at) => at > 0 && line.startsWith("$ ")),
  );
  const child = all.findIndex((line) => line.startsWith("child reads "));
  const parent = all.lastIndexOf("== mapped, untouched");
  return [...all.slice(0, parent), ...all.slice(parent + child)];
}

/** What would have been printed without what the C library has: where a surplus is within its bounds, what is printed here. */
function withoutLibrary(lines: readonly string[]): string[] {
  return lines.map((line, at) => {
    const name = nameIn(line);
    const surplus = SURPLUS[name];
    const here = printed[at] ?? "";
    if (surplus === undefined || nameIn(here) !== name) return line;
    const more = (valueIn(line) - valueIn(here)) / surplus.unit;
    return Number.isInteger(more) && surplus.least <= more && more <= surplus.most
      ? here
      : `${line}: ${more} more than here, not ${surplus.least} to ${surplus.most}`;
  });
}

function masked(lines: readonly string[]): string {
  return lines
    .map((line) => MASKS.reduce((text, [, pattern, replacement]) => text.replace(pattern, replacement), line))
    .join("\n");
}

function nameIn(line: string): string {
  return /^\S+/.exec(line)?.[0] ?? "";
}

function valueIn(line: string): number {
  return Number(/^\S+\s+(\d+)/.exec(line)?.[1]);
}
