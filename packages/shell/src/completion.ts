// Completion of the word at the end of a line: a command where one can stand, a path elsewhere. User space counterpart:
// complete_cmd_dir_file() in libbb/lineedit.c of busybox.
import { BUILTINS } from "./builtins.ts";
import type { Shell } from "./shell.ts";

/** The completions of the last word of a line, and that word: the result of a completer of node:readline. */
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
