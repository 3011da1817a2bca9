// Online policies: the zone of plain `online`, chosen at run time by /sys/module/memory_hotplug/parameters/online_policy.
// online_kernel and online_movable name their zone, and no policy is asked. Kernel counterpart: online_policy in
// mm/memory_hotplug.c.
import { KernelError } from "@hetmem/kernel";
import type { MemoryGroups } from "./memory-group.ts";
import type { Memory } from "./memory.ts";
import { type ModuleParameter, ModuleParameters } from "./module-parameters.ts";
import { anyOrderPlacement, defaultFirst, type Placement, type PlacementRequest } from "./placement.ts";
import { defaultZone } from "./range-zone.ts";
import type { Zone } from "./zone.ts";

/** The state that an online policy answers from. */
export interface OnlinePolicyHost {
  readonly memory: Memory;
  readonly groups: MemoryGroups;
  /** Values of the module's parameters. */
  readonly parameters: ModuleParameters;
}

/** A value of online_policy. It has no state of its own: machines share it. */
export interface OnlinePolicy {
  /** One word: the text that chooses the policy. */
  readonly name: string;
  /** Parameters of the policy's own, which are files beside online_policy. Absent: none. */
  readonly parameters?: readonly ModuleParameter<unknown>[];
  /** The zone of plain `online`, on the request's node. */
  zoneFor(host: OnlinePolicyHost, request: PlacementRequest): Zone;
}

/** Keeps zones contiguous: the zone whose span overlaps the range. @see c6f03e2903c9 */
export const contigZones: OnlinePolicy = {
  name: "contig-zones",
  zoneFor: ({ memory }, request) => defaultZone(memory, request),
};

/** Names of files in the module's folder that are no policy's parameters. */
const FILES_OF_MODULE = ["online_policy", "memmap_on_memory"];

/** The online policies of a machine, one of them in force, and the values of their parameters. */
export class OnlinePolicies {
  readonly policies: readonly OnlinePolicy[];
  readonly parameters: ModuleParameters = new ModuleParameters();
  #current: OnlinePolicy;

  /**
   * @param policies the first is in force
   * @throws KernelError EINVAL without a policy, for a name that isn't one word, and for two policies or two parameters
   * of one name
   */
  constructor(policies: readonly OnlinePolicy[]) {
    const [first] = policies;
    if (!first) throw new KernelError("EINVAL", "a machine needs an online policy: give it contigZones");
    for (const { name } of policies) checkName(name);
    checkDistinct(
      "online policies",
      policies.map(({ name }) => name),
    );
    this.policies = policies;
    this.#current = first;
    checkDistinct("parameters of memory_hotplug", [
      ...FILES_OF_MODULE,
      ...this.declared().map(({ name }) => name),
    ]);
  }

  /** The policy in force. */
  get current(): OnlinePolicy {
    return this.#current;
  }

  /** Puts a policy in force. @throws KernelError EINVAL for an unknown name @see set_online_policy() */
  choose(name: string): void {
    const policy = this.policies.find((known) => known.name === name);
    if (!policy) {
      const known = this.policies.map((each) => each.name).join(" or ");
      throw new KernelError("EINVAL", `"${name}" is not a policy: write ${known}`);
    }
    this.#current = policy;
  }

  /** The parameters of all policies. A parameter that two of them share is listed once. */
  declared(): ModuleParameter<unknown>[] {
    return [...new Set(this.policies.flatMap(({ parameters = [] }) => parameters))];
  }
}

/**
 * Any-order placement, whose plain `online` is the policy in force.
 *
 * @see e83a437faa62 ("mm/memory_hotplug: introduce "auto-movable" online policy")
 */
export function onlinePolicyPlacement(policies: OnlinePolicies, groups: MemoryGroups): Placement {
  const { parameters } = policies;
  return {
    get name() {
      return `online-policy ${policies.current.name}`;
    },
    zoneFor(memory, type, request) {
      return type === "online"
        ? policies.current.zoneFor({ memory, groups, parameters }, request)
        : anyOrderPlacement.zoneFor(memory, type, request);
    },
    validZones(memory, request) {
      return defaultFirst(this, memory, request);
    },
  };
}

function checkName(name: string): void {
  if (!/^\S+$/.test(name))
    throw new KernelError("EINVAL", `the online policy "${name}" has a name that is not one word`);
}

function checkDistinct(what: string, names: readonly string[]): void {
  const twice = names.find((name, at) => names.indexOf(name) < at);
  if (twice !== undefined)
    throw new KernelError("EINVAL", `two ${what} are named "${twice}": give each a name of its own`);
}
