// Runs the commands of a captured transcript against a machine's files and gives what a shell would have printed. It
// knows the handful of commands that the capture of kmem consists of; what it doesn't know is skipped, with its output.
import { KernelError, run, strerror } from "@hetmem/kernel";
import { type KmemMachine } from "@hetmem/test-machines/kmem-machine";

/** A command with the lines that followed it. */
export interface Step {
  readonly command: string;
  readonly output: readonly string[];
}

export function parseTranscript(text: string): Step[] {
  const steps: { command: string; output: string[] }[] = [];
  for (const line of text.replace(/\n$/, "").split("\n")) {
    if (line.startsWith("$ ")) steps.push({ command: line.slice(2), output: [] });
    else steps.at(-1)?.output.push(line);
  }
  return steps;
}

/** What a command prints; undefined for one that is none of the bus's business. */
export function runCommand(machine: KmemMachine, command: string): string[] | undefined {
  const echo = /^echo (\S+) > (\S+)$/.exec(command);
  if (echo) return writeFile(machine, echo[2] ?? "", echo[1] ?? "");
  const readlink = /^readlink (\S+)$/.exec(command);
  if (readlink) return attempt(() => [machine.vfs.readlink(deviceLink(machine, readlink[1] ?? ""))]);
  const grep = /^cat \/proc\/iomem \| grep -A6 Persistent$/.exec(command);
  if (grep) return after(machine.read("/proc/iomem"), "Persistent");
  if (command.startsWith("grep . ")) return grepAll(machine, command.slice(7).split(" "));
  if (command.startsWith("cat /sys")) return catAll(machine, command.slice(4).split(" "));
  return undefined;
}

/** A link of a linked directory is that of the directory itself. */
function deviceLink({ vfs }: KmemMachine, path: string): string {
  const at = path.lastIndexOf("/");
  return `${vfs.realpath(path.slice(0, at))}${path.slice(at)}`;
}

/** A shell opens what it writes to with O_CREAT. What can't be opened names the file, a write that fails doesn't. */
function writeFile({ vfs }: KmemMachine, path: string, text: string): string[] {
  try {
    run(vfs.open(path, "write").write(`${text}\n`));
    return [];
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const where = error.errno === "EACCES" ? path : "write error";
    return [`sh: ${where}: ${strerror(error.errno)}`, "[exit 1]"];
  }
}

function attempt(body: () => string[]): string[] {
  try {
    return body();
  } catch (error) {
    if (error instanceof KernelError) return ["[exit 1]"];
    throw error;
  }
}

function after(text: string, word: string): string[] {
  const lines = text.split("\n").filter(Boolean);
  const at = lines.findIndex((line) => line.includes(word));
  return lines.slice(at, at + 7);
}

function grepAll({ vfs, read }: KmemMachine, patterns: readonly string[]): string[] {
  return patterns.flatMap((pattern) =>
    vfs.glob(pattern).map((path) => `${path}:${read(path).replace(/\n$/, "")}`),
  );
}

function catAll({ vfs, read }: KmemMachine, paths: readonly string[]): string[] {
  const lines: string[] = [];
  let failed = false;
  for (const path of paths) {
    if (vfs.exists(path)) {
      lines.push(read(path).replace(/\n$/, ""));
    } else {
      failed = true;
      lines.push(`cat: can't open '${path}': No such file or directory`);
    }
  }
  return failed ? [...lines, "[exit 1]"] : lines;
}
