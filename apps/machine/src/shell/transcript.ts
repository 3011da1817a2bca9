// The format of a capture: a line `$ command`, its exact output, and `[exit N]` when the status isn't zero. What was
// recorded on a real kernel is read from it, and what a machine answers is written in it.
import { KernelError } from "@hetmem/kernel";

export interface TranscriptEntry {
  readonly command: string;
  /** Both streams as they came, each line with its newline. */
  readonly output: string;
  readonly status: number;
}

/**
 * Reads a capture. Text in front of the first command is no part of it.
 *
 * @param name how the capture is called in a sentence
 * @throws KernelError EINVAL when there is no command
 */
export function parseTranscript(text: string, name = "the text"): TranscriptEntry[] {
  const lines = (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
  const starts = lines.flatMap((line, index) => (line.startsWith("$ ") ? [index] : []));
  if (starts.length === 0) {
    throw new KernelError("EINVAL", `${name} has no line "$ command": give a capture to replay`);
  }
  return starts.map((start, index) => {
    const output = lines.slice(start + 1, starts[index + 1] ?? lines.length);
    const status = /^\[exit (\d+)\]$/.exec(output.at(-1) ?? "")?.[1];
    if (status !== undefined) output.pop();
    return {
      command: (lines[start] ?? "").slice(2),
      output: output.map((line) => `${line}\n`).join(""),
      status: Number(status ?? 0),
    };
  });
}

/** Writes it: parseTranscript() backwards. */
export function formatTranscript(entries: readonly TranscriptEntry[]): string {
  return entries.map(formatEntry).join("");
}

export function formatEntry({ command, output, status }: TranscriptEntry): string {
  const ended = output === "" || output.endsWith("\n") ? output : `${output}\n`;
  return `$ ${command}\n${ended}${status === 0 ? "" : `[exit ${status}]\n`}`;
}
