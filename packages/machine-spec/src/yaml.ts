// Machine files: YAML for people, in which sizes have suffixes, memory is laid out by itself, and nearly every value has a default.
// Each problem is reported with file, line, place, the value, and a value to write instead.
import { KernelError } from "@hetmem/kernel";
import { LineCounter } from "yaml";
import { bootUsageOf } from "./boot-reserve.ts";
import { DEFAULT_BLOCK_SIZE } from "./defaults.ts";
import { checkPieces, specOfFile } from "./file-machine.ts";
import { checkBlockSize, checkLimits } from "./limits.ts";
import type { MachineSpec, ProfileName } from "./machine-spec.ts";
import { refuseProblems, type SpecPath } from "./problem.ts";
import { offsetOf, parseYaml, valueOf } from "./yaml-document.ts";
import { readMachineFile } from "./yaml-schema.ts";

/**
 * Makes a machine of a YAML text.
 *
 * @param file its path, for the sentences
 * @param profile wins over the file's own
 * @throws KernelError EINVAL with a line for each thing that is wrong
 */
export function machineOfYaml(text: string, file: string, profile?: ProfileName): MachineSpec {
  const lines = new LineCounter();
  const document = parseYaml(text, file, lines);
  const lineAt = (offset: number | undefined): number =>
    offset === undefined ? 1 : Math.max(1, lines.linePos(offset).line);
  const [syntax] = document.errors;
  if (syntax)
    throw new KernelError("EINVAL", `${file}:${lineAt(syntax.pos[0])}: not YAML: ${syntax.message}`);
  const where = (path: SpecPath): string => `${file}:${lineAt(offsetOf(document.contents, path))}: `;
  const read = readMachineFile(valueOf(document, file));
  if ("problems" in read) {
    refuseProblems(read.problems, where);
    throw new KernelError("EINVAL", `${file} is not a machine`);
  }
  const { file: machine } = read;
  refuseProblems(
    [...checkBlockSize({ blockSize: machine.block_size ?? DEFAULT_BLOCK_SIZE }), ...checkPieces(machine)],
    where,
  );
  const { spec, problems } = specOfFile(machine, nameOfFile(file), profile);
  refuseProblems(problems.length > 0 ? problems : checkLimits(spec), where);
  return { ...spec, bootUsage: bootUsage(spec, where(["nodes"])) };
}

/** "laptop" for "machines/laptop.yaml". */
function nameOfFile(file: string): string {
  return file.slice(file.lastIndexOf("/") + 1).replace(/\.ya?ml$/, "");
}

/** Pages that the boot keeps. @throws KernelError EINVAL, with the place in the file, for nodes that can't hold the struct pages of all memory */
function bootUsage({ nodes, options }: MachineSpec, where: string): MachineSpec["bootUsage"] {
  try {
    return bootUsageOf(nodes, options);
  } catch (error) {
    if (error instanceof KernelError) throw new KernelError("EINVAL", `${where}${error.reason}`);
    throw error;
  }
}
