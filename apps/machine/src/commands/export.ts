// `hetmem export DIR`: writes the machine's /proc and /sys as a real folder, for programs that read one: lsmem --sysroot,
// lstopo with HWLOC_FSROOT, and whatever bind-mounts it.
import { createMachine } from "../machine.ts";
import { writeTree } from "../export/write-tree.ts";
import { chooseMachine } from "./choose-machine.ts";
import type { MachineOptions } from "./machine-options.ts";
import { complain, say, sayJson } from "./say.ts";
import { shellWord } from "./shell-word.ts";
import type { Terminal } from "./terminal.ts";

export interface ExportOptions extends MachineOptions {
  readonly json?: boolean;
}

export function exportTree(folder: string, options: ExportOptions, terminal: Terminal): void {
  const { spec, source, notices } = chooseMachine(options);
  const { files, links, directories } = writeTree(createMachine(spec).vfs, folder);
  if (options.json) {
    sayJson(terminal, { source, folder, files, links, directories, notices });
    return;
  }
  complain(terminal, ...notices);
  say(
    terminal,
    `${folder}: ${files} files, ${links} links and ${directories} directories of ${source}`,
    `Read it with: lsmem --sysroot ${shellWord(folder)}`,
    // hwloc would add the caches that the CPU it runs on has; they are not the machine's.
    `              HWLOC_FSROOT=${shellWord(folder)} HWLOC_COMPONENTS=-x86 lstopo`,
  );
}
