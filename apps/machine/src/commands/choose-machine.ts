// Which machine a command is about: the host it runs on, a captured tree, or a YAML file. Where the host can't be read, the
// bundled capture stands in, and it is said.
import { KernelError, MiB, plainText } from "@hetmem/kernel";
import { BUNDLED_CAPTURES, liveHost, openTree, readOutsideText } from "@hetmem/host-capture/node";
import { type Capture, captureHost, type Host, type HostTree } from "@hetmem/host-capture";
import {
  DEFAULT_PROFILE,
  machineOfYaml,
  type MachineSpec,
  type ProfileName,
  refuseImpossible,
} from "@hetmem/machine-spec";
import type { MachineOptions } from "./machine-options.ts";
import { shellWord } from "./shell-word.ts";

const MACHINE_FIX = "give --machine a YAML file, such as those under fixtures/machines";
/** Bytes of a machine file: one with 1,024 nodes has 50 KiB. */
const MACHINE_BYTES_MAX = MiB / 2;

export interface ChosenMachine {
  readonly spec: MachineSpec;
  /** The source of the machine, for a sentence: "a model of this host". */
  readonly source: string;
  /** The options that choose it again, with a space before them. */
  readonly sameMachine: string;
  /** The host that it is a model of. */
  readonly host?: Host;
  readonly notices: readonly string[];
}

/**
 * Makes the spec that the options name; without any, of the host that we run on.
 *
 * @throws KernelError that names the file and the fix
 */
export function chooseMachine(options: MachineOptions): ChosenMachine {
  const chosen = machineOfOptions(options);
  const { spec } = chosen;
  // From here on all text from outside is plain.
  return {
    ...chosen,
    spec: { ...spec, name: plainText(spec.name), release: plainText(spec.release) },
    source: plainText(chosen.source),
    sameMachine: plainText(chosen.sameMachine),
    notices: chosen.notices.map(plainText),
  };
}

function machineOfOptions(options: MachineOptions): ChosenMachine {
  const again = options.profile ? ` --profile ${options.profile}` : "";
  const profile = options.profile ?? DEFAULT_PROFILE;
  if (options.machine !== undefined) {
    const spec = machineOfYaml(
      readOutsideText({ file: options.machine, bytesMax: MACHINE_BYTES_MAX, fix: MACHINE_FIX }),
      options.machine,
      options.profile,
    );
    return {
      spec,
      source: options.machine,
      sameMachine: ` --machine ${shellWord(options.machine)}${again}`,
      notices: [],
    };
  }
  if (options.from !== undefined) {
    const chosen = fromTree(openTree(options.from), profile, () => false);
    return {
      source: `a model of the captured host ${options.from}`,
      sameMachine: ` --from ${shellWord(options.from)}${again}`,
      ...chosen,
    };
  }
  // Of our own host everything may be missing: it may be no Linux, or a container that shows little.
  const chosen = fromTree(liveHost(), profile, () => true);
  return { source: "a model of this host", sameMachine: again, ...chosen };
}

type FromTree = Pick<ChosenMachine, "spec" | "notices"> & Partial<ChosenMachine>;

/** @param standIn whether the bundled capture may replace a host that fails with this error; hidden addresses always may */
function fromTree(tree: HostTree, profile: ProfileName, standIn: (error: KernelError) => boolean): FromTree {
  try {
    return checked(captureHost(tree, profile));
  } catch (error) {
    if (!(error instanceof KernelError) || (error.errno !== "EPERM" && !standIn(error))) throw error;
    const bundled = checked(captureHost(openTree(BUNDLED_CAPTURES["hidden-ram"]), profile));
    const notice = `${error.reason}. So this is the bundled capture hidden-ram (${bundled.host.release}), not ${tree.live ? "this host" : tree.name}.`;
    return { ...bundled, source: "the bundled capture hidden-ram", notices: [notice, ...bundled.notices] };
  }
}

function checked(capture: Capture): Capture {
  refuseImpossible(capture.spec);
  return capture;
}
