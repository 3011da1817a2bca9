// The options that choose a machine: the same for every command. Apart from the choice itself, so that `--help` loads nothing
// that reads a machine.
import { type Command, Option } from "commander";
import { DEFAULT_PROFILE, PROFILE_NAMES, type ProfileName } from "@hetmem/machine-spec";

export interface MachineOptions {
  readonly from?: string;
  readonly machine?: string;
  readonly profile?: ProfileName;
}

/** Adds --from, --machine and --profile to a command. */
export function withMachineOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--from <tree>", "a captured /proc and /sys: a folder, a .tar or a .tar.gz").conflicts(
        "machine",
      ),
    )
    .addOption(new Option("--machine <file.yaml>", "a machine described in a YAML file"))
    .addOption(
      new Option(
        "--profile <release>",
        `the kernel release whose rules apply (default: ${DEFAULT_PROFILE})`,
      ).choices(PROFILE_NAMES),
    );
}
