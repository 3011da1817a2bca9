// Types the commands of a capture into a machine and compares the answers with those of the kernel it was taken from.
import { run } from "@hetmem/kernel";
import type { Shell, ShellMachine } from "@hetmem/shell";
import { type MemoryNode, ZoneType } from "@hetmem/zone";
import { createTwoFilesPatch } from "diff";
import { type Mask, maskOutputs, MASKS, type PfnSpan } from "./masks.ts";
import { formatEntry, formatTranscript, parseTranscript, type TranscriptEntry } from "./transcript.ts";
import "./version.ts";

export interface ReplayResult {
  /** The answers of the machine, in the format of a capture. */
  readonly actual: string;
  /** A unified diff of the masked answers; empty when all are equal. */
  readonly diff: string;
  readonly equal: boolean;
  /** Commands whose answers differ. */
  readonly differing: readonly string[];
}

/** A machine whose nodes say where device memory lies: masks ask for that. */
export interface ReplayMachine extends ShellMachine {
  readonly memory?: { readonly nodes: readonly (Pick<MemoryNode, "zones"> | undefined)[] };
}

/** The shell that a capture is typed into. */
export type ReplayShell = Pick<Shell<ReplayMachine>, "execute" | "machine">;

export interface ReplayOptions {
  readonly masks?: readonly Mask[];
  /** The name of the capture in the diff. */
  readonly name?: string;
  /** Called with each answer, in the format of a capture. */
  readonly onEntry?: (text: string) => void;
}

/**
 * Runs every `$ ` line, each in a subshell of its own as the captures were taken.
 *
 * @param transcript the text of a capture
 */
export function replayTranscript(
  shell: ReplayShell,
  transcript: string,
  { masks = MASKS, name = "captured", onEntry }: ReplayOptions = {},
): ReplayResult {
  const expected = parseTranscript(transcript, name);
  const actual: TranscriptEntry[] = [];
  const compared = expected.map((entry) => {
    const { command } = entry;
    const { output, status } = run(shell.execute(command, { subshell: true }));
    const answer = { command, output, status };
    onEntry?.(formatEntry(answer));
    actual.push(answer);
    return compareEntry(entry, answer, masks, deviceZones(shell));
  });
  const differing = compared.filter((pair) => pair.expected !== pair.actual).map(({ command }) => command);
  return {
    actual: formatTranscript(actual),
    diff: differing.length === 0 ? "" : unifiedDiff(name, compared),
    equal: differing.length === 0,
    differing,
  };
}

function deviceZones({ machine }: ReplayShell): PfnSpan[] {
  const zones = machine.memory?.nodes.flatMap((node) => node?.zones ?? []) ?? [];
  return zones.filter(({ type }) => type === ZoneType.Device);
}

interface ComparedEntry {
  readonly command: string;
  readonly expected: string;
  readonly actual: string;
}

function compareEntry(
  expected: TranscriptEntry,
  actual: TranscriptEntry,
  masks: readonly Mask[],
  zones: readonly PfnSpan[],
): ComparedEntry {
  const { command } = expected;
  const lines = maskOutputs(command, expected.output, actual.output, masks, zones);
  const text = (output: readonly string[], status: number): string =>
    formatEntry({ command, output: output.map((line) => `${line}\n`).join(""), status });
  return {
    command,
    expected: text(lines.expected, expected.status),
    actual: text(lines.actual, actual.status),
  };
}

function unifiedDiff(name: string, entries: readonly ComparedEntry[]): string {
  const expected = entries.map((entry) => entry.expected).join("");
  const actual = entries.map((entry) => entry.actual).join("");
  const patch = createTwoFilesPatch(name, "this machine", expected, actual, "", "", { context: 3 });
  return patch.replace(/^=+\n/, "").replaceAll(/^(---|\+\+\+) (.*?)\t?$/gm, "$1 $2");
}
