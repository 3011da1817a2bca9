// `hetmem export DIR`: writes the machine's /proc and /sys as a real folder, for programs that read one: lsmem --sysroot,
// lstopo with HWLOC_FSROOT, and whatever bind-mounts it.
import { writeTree } from "../export/write-tree.ts";
import { chooseMachine, type MachineOptions } from "./choose-machine.ts";
import type { CreateMachine } from "./program.ts";
import type { Terminal } from "./terminal.ts";

export interface ExportOptions extends MachineOptions {
  readonly json?: boolean;
}

export function exportTree(
  folder: string,
  options: ExportOptions,
  createMachine: CreateMachine,
  terminal: Terminal,
): void {
  const { spec, source, notices } = chooseMachine(options);
  const { files, links, directories } = writeTree(createMachine(spec).vfs, folder);
  if (options.json) {
    terminal.write(
      `${JSON.stringify({ source, folder, files, links, directories, notices }, undefined, 2)}\n`,
    );
    return;
  }
  for (const notice of notices) terminal.writeError(`hetmem: ${notice}\n`);
  terminal.write(`${folder}: ${files} files, ${links} links and ${directories} directories of ${source}\n`);
  // hwloc would add the caches that the CPU it runs on has; they are not the machine's.
  terminal.write(
    `Read it with: lsmem --sysroot ${folder}\n              HWLOC_FSROOT=${folder} HWLOC_COMPONENTS=-x86 lstopo\n`,
  );
}
