// A shell to type into: history and completion come from node:readline, a command that isn't finished asks for more,
// and ^C ends a command between two of its steps, never in the middle of what the kernel does.
import { createInterface } from "node:readline";
import { KernelBug, type Sleeps } from "@hetmem/kernel";
import { BUILTINS } from "./builtins.ts";
import { isIncomplete, type Shell, type ShellResult } from "./shell.ts";

export interface InteractiveStreams {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly error: NodeJS.WritableStream;
  /** Whether somebody sits there: line editing, and a prompt. */
  readonly terminal: boolean;
}

const PROMPT = "# ";
const PROMPT_MORE = "> ";
/** Yields of a command between two looks at the keyboard. */
const STEPS_PER_TURN = 4096;

/** Reads lines until the end of input or `exit`. @returns the exit status */
export async function interact(shell: Shell, streams: InteractiveStreams): Promise<number> {
  const { input, output, error, terminal } = streams;
  const lines = createInterface({
    input,
    output,
    terminal,
    prompt: PROMPT,
    completer: (line: string) => complete(shell, line),
  });
  lines.on("SIGINT", () => {
    shell.interrupt();
    pending = "";
    output.write("\n");
    prompt();
  });
  let pending = "";
  let status = 0;
  const prompt = (): void => {
    lines.setPrompt(pending === "" ? PROMPT : PROMPT_MORE);
    if (terminal) lines.prompt();
  };
  prompt();
  for await (const line of lines) {
    pending += `${line}\n`;
    if (!isIncomplete(pending)) {
      const text = pending;
      pending = "";
      const result = await answer(shell, text, output, error);
      status = result.status;
      if (result.exited) break;
    }
    prompt();
  }
  lines.close();
  return status;
}

/** Where the word under the cursor may lead. @returns what readline asks of a completer */
export function complete(shell: Shell, line: string): [candidates: string[], word: string] {
  const [, before = "", word = ""] = /^(.*?)([^\s;|&<>()$"'=]*)$/s.exec(line) ?? [];
  const first = /(?:^|[;|&(]|\$\(|\b(?:then|do|else|if|while|until))\s*$/.test(before);
  if (first && !word.includes("/")) {
    const names = [...Object.keys(shell.programs), ...Object.keys(BUILTINS)].sort();
    return [names.filter((name) => name.startsWith(word)).map((name) => `${name} `), word];
  }
  return [completePath(shell, word), word];
}

function completePath(shell: Shell, word: string): string[] {
  const { vfs } = shell.machine;
  const slash = word.lastIndexOf("/") + 1;
  const absolute = word.startsWith("/") ? word : `${shell.cwd}/${word}`;
  const directory = absolute.slice(0, absolute.lastIndexOf("/") + 1) || "/";
  if (!vfs.exists(directory) || vfs.stat(directory).kind !== "directory") return [];
  const beginning = word.slice(slash);
  return vfs
    .list(directory)
    .filter(({ name }) => name.startsWith(beginning) && (beginning !== "" || !name.startsWith(".")))
    .map(({ name, kind }) => {
      const leads = kind === "link" && vfs.exists(directory + name) ? vfs.stat(directory + name).kind : kind;
      return `${word.slice(0, slash)}${name}${leads === "directory" ? "/" : " "}`;
    });
}

async function answer(
  shell: Shell,
  text: string,
  output: NodeJS.WritableStream,
  error: NodeJS.WritableStream,
): Promise<ShellResult> {
  const terminal = {
    out: (piece: string) => void output.write(piece),
    err: (piece: string) => void error.write(piece),
  };
  try {
    return await drive(shell.execute(text, { terminal }));
  } catch (bug) {
    if (!(bug instanceof KernelBug)) throw bug;
    error.write(`kernel BUG: ${bug.message}\n`);
    return { output: "", stdout: "", stderr: "", status: 1, exited: false };
  }
}

/** What run() does, with a pause now and then in which ^C is heard. */
async function drive<T>(task: Sleeps<T>): Promise<T> {
  for (let step = 1; ; step++) {
    const { done, value } = task.next();
    if (done) return value;
    if (!value.ready()) {
      if (!value.timer) throw new KernelBug(`nobody is left to wake the task that waits for ${value.why}`);
      value.timer.expire();
    }
    if (step % STEPS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}
