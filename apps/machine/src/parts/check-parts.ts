// Checks the parts that a caller gives. TypeScript refuses a wrong one by the name of its port; this does so for JavaScript, with a
// sentence, and before anything of the machine is made.
import { KernelError, nearestName } from "@hetmem/kernel";
import type { MachineParts } from "./machine-parts.ts";

type PartName = keyof MachineParts;

/** What a part must be: a phrase for messages, and the test. */
interface Form {
  readonly phrase: string;
  accepts(part: unknown): boolean;
}

/** Fails with the name of the part and the port that it doesn't implement. */
export function checkParts(given: object, known: MachineParts): void {
  const names = Object.keys(known);
  for (const [name, part] of Object.entries(given)) {
    if (!isPartName(name, known)) throw new KernelError("EINVAL", unknownPart(name, names));
    const form = FORMS[name];
    if (!form.accepts(part))
      throw new KernelError("EINVAL", `parts.${name} is ${described(part)}: give it ${form.phrase}`);
  }
}

/**
 * Checks what a part has made.
 *
 * @throws KernelError EINVAL with the function of its port that is missing
 */
export function checkMade<T>(part: keyof typeof PORTS, made: T): T {
  const { port, members } = PORTS[part];
  if (!isObject(made))
    throw new KernelError("EINVAL", `parts.${part} made ${described(made)}: it must make a ${port}`);
  const missing = members.find((member) => typeof Reflect.get(made, member) !== "function");
  if (missing === undefined) return made;
  throw new KernelError(
    "EINVAL",
    `parts.${part} made no ${port}: its ${missing}() is ${described(Reflect.get(made, missing))}`,
  );
}

/** The ports that parts make, with the functions that callers can't do without. */
const PORTS = {
  hugetlb: { port: "Hugetlb", members: ["owns", "free", "dissolveFree", "fileSetup", "fault"] },
  swap: { port: "Swap", members: ["duplicate", "free", "count", "allocSlot", "readPage", "writePage"] },
  reclaim: {
    port: "PageReclaim",
    members: [
      "allocSlowly",
      "pagefaultOutOfMemory",
      "reclaimPages",
      "tryToFreeMemCgroupPages",
      "outOfMemory",
      "runKswapd",
    ],
  },
  oomChoice: { port: "OomChoice", members: ["selectBadProcess", "oomBadness"] },
  tiers: {
    port: "MemoryTiers",
    members: ["setAdistance", "clearAdistance", "isToptier", "nextDemotionNode", "allowedTargets"],
  },
  demotion: { port: "Demotion", members: ["canDemote", "demotePages"] },
  promotion: { port: "Promotion", members: ["misplaced", "migrateMisplacedPage"] },
  sharedMemory: { port: "SharedMemory", members: ["zeroSetup"] },
  khugepaged: { port: "HugeCollapse", members: ["madviseCollapse"] },
  daxDrivers: { port: "DaxDriver", members: ["probe", "remove"] },
  gpuDrivers: { port: "GpuDevice", members: ["open", "remove"] },
  placement: { port: "Placement", members: ["zoneFor", "validZones"] },
  charging: { port: "PageCharging", members: ["start", "tryCharge", "charge", "uncharge"] },
  clock: { port: "Clock", members: ["advance", "sleep"] },
} as const;

function isPartName(name: string, known: MachineParts): name is PartName {
  return Object.hasOwn(known, name);
}

function unknownPart(name: string, names: readonly string[]): string {
  const nearest = nearestName(name, names);
  const meant = nearest === undefined ? "" : ` (did you mean ${nearest}?)`;
  return `a machine has no part "${name}"${meant}: the parts are ${names.join(", ")}`;
}

function described(value: unknown): string {
  if (value === null || value === undefined) return `${value}`;
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function factory(of: string): Form {
  return { phrase: `a function that makes ${of}`, accepts: isFunction };
}

function list(of: string, accepts: (each: unknown) => boolean): Form {
  return { phrase: `an array of ${of}`, accepts: (part) => Array.isArray(part) && part.every(accepts) };
}

function oneOf(...values: readonly string[]): Form {
  return {
    phrase: values.map((value) => `"${value}"`).join(" or "),
    accepts: (part) => typeof part === "string" && values.includes(part),
  };
}

/** A value with these properties. */
function objectWith(port: string, ...members: readonly string[]): Form {
  return {
    phrase: `a ${port}, with ${members.join(", ")}`,
    accepts: (part) => isObject(part) && members.every((member) => member in part),
  };
}

/** Whether a value is an object with these functions. */
function has(value: unknown, ...functions: readonly string[]): boolean {
  return isObject(value) && functions.every((name) => typeof Reflect.get(value, name) === "function");
}

function isFunction(part: unknown): boolean {
  return typeof part === "function";
}

function isObject(part: unknown): part is object {
  return typeof part === "object" && part !== null && !Array.isArray(part);
}

const yesOrNo: Form = { phrase: "true or false", accepts: (part) => typeof part === "boolean" };

/** A part whose function makes the port of its name in PORTS. */
function making(part: keyof typeof PORTS): Form {
  return factory(`a ${PORTS[part].port}`);
}

const FORMS: Readonly<Record<PartName, Form>> = {
  config: { phrase: "a Set of names of kernel options", accepts: (part) => part instanceof Set },
  hugetlb: making("hugetlb"),
  swap: making("swap"),
  reclaim: making("reclaim"),
  sharedMemory: making("sharedMemory"),
  khugepaged: making("khugepaged"),
  oomChoice: making("oomChoice"),
  tiers: making("tiers"),
  demotion: making("demotion"),
  promotion: making("promotion"),
  daxDrivers: list("functions that make a DaxDriver each", isFunction),
  daxSubsystem: oneOf("bus", "class"),
  bindPolicy: objectWith("BindPolicy", "answer"),
  placement: making("placement"),
  autoOnlineTypes: list("online types", (each) => typeof each === "string"),
  removable: { phrase: "a RemovablePolicy, a function of a memory block", accepts: isFunction },
  onlinePolicies: list(
    "OnlinePolicy values { name, zoneFor }",
    (each) => isObject(each) && "name" in each && "zoneFor" in each,
  ),
  charging: factory("{ charging: PageCharging }"),
  pagemaps: objectWith("PagemapPolicies", "memoryTypes", "collision", "idle", "structPages"),
  pfnLayout: objectWith("PfnLayoutPolicy", "altmapUnit", "layOut"),
  gpuDrivers: list("GpuDrivers, each with name, match() and probe()", (each) => has(each, "match", "probe")),
  gpuPolicies: list(
    "MigrationPolicies, each with name, onMiss() and onCpuTouch(), or families of them, each with example and named()",
    (each) => has(each, "onMiss", "onCpuTouch") || has(each, "named"),
  ),
  memoryTiering: yesOrNo,
  gupTest: objectWith("GupTestPolicy", "file", "operations"),
  udevRules: list("rules { device, run }", (each) => isObject(each) && "device" in each && "run" in each),
  programs: {
    phrase: "programs by name, each with run and summary",
    accepts: (part) =>
      isObject(part) && Object.values(part).every((each) => isObject(each) && "summary" in each),
  },
  clock: making("clock"),
};
