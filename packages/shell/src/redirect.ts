// Redirections: `>`, `>>`, `<`, `2>&1` and here-documents, done from left to right: each sees the descriptors that the ones
// before it opened.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { Vfs } from "@hetmem/vfs";
import { type ExpansionScope, expandWord } from "./expand.ts";
import { CLOSED, type Descriptors, FileOutput, Input, NOWHERE, type Output, outputOf } from "./streams.ts";
import type { Redirection } from "./syntax/ast.ts";
import { visible } from "./visible.ts";

/** The part of the shell that redirecting needs. */
export interface RedirectScope {
  readonly vfs: Vfs;
  absolute(path: string): string;
  scope(io: Descriptors): ExpansionScope;
}

/** @returns the descriptors to run with; undefined, after a message, when a file can't be opened */
export function* redirect(
  redirections: readonly Redirection[],
  io: Descriptors,
  shell: RedirectScope,
): Sleeps<Descriptors | undefined> {
  let redirected = io;
  for (const redirection of redirections) {
    const { descriptor, kind } = redirection;
    const word = kind === "here-document" ? redirection.text : redirection.target;
    const text = yield* expandWord(word, shell.scope(redirected));
    try {
      redirected = { ...redirected, [descriptor]: openTarget(kind, text, redirected, shell) };
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      outputOf(redirected, 2).write(`sh: ${visible(openFailure(kind, text, error))}\n`);
      return undefined;
    }
  }
  return redirected;
}

/** @param text the target; for a here-document its text */
function openTarget(
  kind: Redirection["kind"],
  text: string,
  io: Descriptors,
  shell: RedirectScope,
): Input | Output {
  switch (kind) {
    case "here-document":
      return new Input(text);
    case "read":
      return new Input(shell.vfs.open(shell.absolute(text), "read"));
    case "write":
    case "append":
      return text === "/dev/null" ? NOWHERE : new FileOutput(shell.vfs.open(shell.absolute(text), kind));
    case "duplicate": {
      if (text === "-") return CLOSED;
      const source = /^\d+$/.test(text) ? io[Number(text)] : undefined;
      if (!source) throw new KernelError("EBADF", `descriptor ${text} isn't open`);
      return source;
    }
  }
}

function openFailure(kind: Redirection["kind"], target: string, error: KernelError): string {
  const missing = error.errno === "ENOENT" || error.errno === "ENOTDIR";
  if (missing && kind === "read") return `can't open ${target}: no such file`;
  if (missing) return `can't create ${target}: nonexistent directory`;
  return `${target}: ${strerror(error.errno)}`;
}
