// What a real kernel said of a process while its pages went to a device and came back, stage by stage, against what this
// machine says of one that does the same. Every line is compared. The captured process has a C library with memory of its
// own: by how much a counter is higher there is written down for each stage, so that what moves between stages must agree.
import { readFileSync } from "node:fs";
import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { PROGRAMS, Shell } from "../src/shell/index.ts";
import { machineOfYaml } from "../src/spec/yaml.ts";
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

/** What can't be equal in a line, and why; the rest of it is. */
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

/** A counter that the captured program has more of, at each of the eleven stages: the fourth is its child. */
interface Surplus {
  readonly reason: string;
  /** Bytes or kB of one of them; 1 where it counts. */
  readonly unit: number;
  readonly more: readonly number[];
}

const SURPLUS: Readonly<Record<string, Surplus>> = {
  anon: {
    reason: "pages of the C library and its heap; a child copies those that it writes to",
    unit: 4096,
    more: [28, 28, 28, 40, 28, 29, 29, 29, 29, 29, 29],
  },
  "memory.current": {
    reason:
      "those, pages of its file, and what is left of the 64 that are charged at once: its child needs another 64",
    unit: 4096,
    more: [117, 117, 117, 181, 172, 172, 172, 172, 172, 172, 172],
  },
  pagetables: {
    reason: "tables cover what the address space has elsewhere: the first mapping above shares none there",
    unit: 4096,
    more: [-3, -2, -2, -4, -2, -2, -2, -2, -2, -2, -2],
  },
  active_anon: { reason: "one of those pages", unit: 4096, more: Array.from({ length: 11 }, () => 1) },
  inactive_anon: {
    reason: "the others, without up to 15 that a cpu has not put on a list yet: each comes at once here",
    unit: 4096,
    more: [14, 12, 25, 32, 23, 27, 28, 28, 28, 27, 28],
  },
  pgfault: {
    reason: "faults on its own pages, of its files too",
    unit: 1,
    more: [182, 194, 194, 220, 227, 230, 230, 230, 230, 230, 230],
  },
  "RssAnon:": {
    reason:
      "its own pages, without up to 64 that the task has not told its address space of yet: each counts at once here",
    unit: 4,
    more: [11, -50, -36, 13, -36, 14, 14, 14, 14, 14, 14],
  },
};

const printed = replay();

test("a process whose pages go to a device and back is accounted for as the captured kernel did, at each stage", () => {
  expect(masked(printed)).toBe(masked(withoutLibrary(captured(CAPTURE))));
});

test.each([
  ["a charge", "memory.current 9064448", "memory.current 9068544"],
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
  expect(masked(printed) === masked(withoutLibrary(captured(changed)))).toBe(false);
});

function replay(): string[] {
  const machine = createMachine(machineOfYaml(MACHINE, "oracle.yaml", "v6.1"));
  const gpu = machine.devices.gpus.all.get("hmm_dmirror0");
  if (!gpu) throw new Error("the device didn't come up");
  // CONFIG_TRANSPARENT_HUGEPAGE_ALWAYS
  machine.vm.tunables.transparentHugepage = "always";
  const shell = new Shell(machine, PROGRAMS);
  run(shell.execute("cd /sys/fs/cgroup; echo +memory > cgroup.subtree_control; mkdir t"));
  const { stdout } = run(shell.execute("(echo 0 > /sys/fs/cgroup/t/cgroup.procs; proc start accounting)"));
  return accounting(machine, gpu, machine.vm.processes.get(Number(stdout)));
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

/** What would have been printed without what the C library has. */
function withoutLibrary(lines: readonly string[]): string[] {
  let stage = -1;
  return lines.map((line) => {
    if (line.startsWith("== ")) stage++;
    const [, name = "", value] = /^(\S+)\s+(\d+)/.exec(line) ?? [];
    if (!Object.hasOwn(SURPLUS, name)) return line;
    const { unit, more } = SURPLUS[name] as Surplus;
    const less = `${Number(value) - unit * (more[stage] ?? 0)}`;
    return name.endsWith(":") ? `${name}\t${less.padStart(8)} kB` : `${name} ${less}`;
  });
}

function masked(lines: readonly string[]): string {
  return lines
    .map((line) => MASKS.reduce((text, [, pattern, replacement]) => text.replace(pattern, replacement), line))
    .join("\n");
}
