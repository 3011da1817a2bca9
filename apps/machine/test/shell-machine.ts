// A shell on a bare file tree: no processes, no memory, no devices.
import { createKernel, run } from "@hetmem/kernel";
import { Shell, type ShellResult } from "@hetmem/shell";
import { Vfs } from "@hetmem/vfs";
import { PROGRAMS } from "../src/programs/index.ts";

export interface BareShell {
  /** Runs a line. */
  sh(line: string): ShellResult;
}

export function testShell(): BareShell {
  const vfs = new Vfs();
  vfs.mkdir("/tmp");
  const shell = new Shell({ vfs, kernel: createKernel(), spec: { release: "6.1.192-oracle" } }, PROGRAMS);
  return { sh: (line) => run(shell.execute(line)) };
}
