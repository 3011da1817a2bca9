// The format of a capture: a line `$ command`, its exact output, and `[exit N]` when the status isn't zero. Recordings of a
// real kernel are read, and the answers of a machine are written, in this format.
import { KernelError } from "@hetmem/kernel";
import { isCommand, isIncomplete } from "@hetmem/shell";

export interface TranscriptEntry {
  readonly command: string;
  /** Both streams in the order of the writes, each line with its newline. */
  readonly output: string;
  readonly status: number;
}

/**
 * Reads a capture. Text in front of the first command is no part of it. A command that its first line doesn't finish
 * goes on in the next.
 *
 * @param name the name of the capture in an error message
 * @throws KernelError EINVAL when there is no command
 */
export function parseTranscript(text: string, name = "the text"): TranscriptEntry[] {
  const lines = text.replace(/\r?\n$/, "").split(/\r?\n/);
  const starts = lines.flatMap((line, index) => (line.startsWith("$ ") ? [index] : []));
  if (starts.length === 0) {
    throw new KernelError("EINVAL", `${name} has no line "$ command": give a capture to replay`);
  }
  return starts.map((start, index) => {
    const output = lines.slice(start + 1, starts[index + 1] ?? lines.length);
    const status = /^\[exit (\d+)\]$/.exec(output.at(-1) ?? "")?.[1];
    if (status !== undefined) output.pop();
    const first = (lines[start] ?? "").slice(2);
    const command = [first, ...output.splice(0, continuationLines(first, output))].join("\n");
    return {
      command,
      output: output.map((line) => `${line}\n`).join(""),
      status: Number(status ?? 0),
    };
  });
}

/** The number of lines after an unfinished command that finish it; 0 where none do: then the answer was a syntax error. */
function continuationLines(first: string, behind: readonly string[]): number {
  if (!isIncomplete(first)) return 0;
  let command = first;
  for (const [index, line] of behind.entries()) {
    command += `\n${line}`;
    if (isCommand(command)) return index + 1;
  }
  return 0;
}

/** Writes a capture; the inverse of parseTranscript(). */
export function formatTranscript(entries: readonly TranscriptEntry[]): string {
  return entries.map(formatEntry).join("");
}

export function formatEntry({ command, output, status }: TranscriptEntry): string {
  const ended = output === "" || output.endsWith("\n") ? output : `${output}\n`;
  return `$ ${command}\n${ended}${status === 0 ? "" : `[exit ${status}]\n`}`;
}
