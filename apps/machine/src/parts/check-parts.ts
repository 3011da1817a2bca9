// Checks the parts that a caller gives. TypeScript refuses a wrong one by the name of its port; this does so for JavaScript, with a
// sentence, and before anything of the machine is made.
import type { BindPolicy } from "@hetmem/dax";
import type { GupTestPolicy } from "@hetmem/gup";
import { KernelError, nearestName } from "@hetmem/kernel";
import { checkKconfig, isKconfigName, KCONFIG_NAMES } from "@hetmem/machine-spec";
import type { PagemapPolicies } from "@hetmem/memremap";
import type { PfnLayoutPolicy } from "@hetmem/nvdimm";
import { autoOnlineAnyType } from "@hetmem/zone";
import type { ChargingController } from "./charging-part.ts";
import type { MachineParts } from "./machine-parts.ts";

type PartName = keyof MachineParts;

/** The form that a part must have: a phrase for messages, and the test. */
interface Form {
  readonly phrase: string;
  accepts(part: unknown): boolean;
}

/** The answer of `typeof` for a member; "object" is never null. */
type Kind = "string" | "number" | "function" | "object";
type Members = Readonly<Record<string, Kind>>;
type KindOf<T> = T extends string
  ? "string"
  : T extends number
    ? "number"
    : T extends (...args: never[]) => unknown
      ? "function"
      : "object";

/**
 * Copies the parts that a caller gives, each read once.
 *
 * @throws KernelError EINVAL with the name of the part and the port that it doesn't implement
 */
export function checkParts(given: Partial<MachineParts>, known: MachineParts): Partial<MachineParts> {
  if (!isObject(given))
    throw new KernelError("EINVAL", `the parts are ${described(given)}: give an object with parts by name`);
  const own = { ...given };
  const names = Object.keys(known);
  for (const [name, part] of Object.entries(own)) {
    if (!isPartName(name, known)) throw new KernelError("EINVAL", unknownPart(name, names));
    const form = FORMS[name];
    if (!form.accepts(part))
      throw new KernelError("EINVAL", `parts.${name} is ${described(part)}: give it ${form.phrase}`);
  }
  if (own.config) checkConfig(own.config);
  return own;
}

/** The names are those of KCONFIG_NAMES, and the set is one that Kconfig could produce. */
function checkConfig(config: ReadonlySet<unknown>): void {
  for (const option of config) {
    if (typeof option === "string" && isKconfigName(option)) continue;
    const nearest = nearestName(String(option).replace(/^CONFIG_/, ""), KCONFIG_NAMES);
    const meant = nearest === undefined ? "" : ` (did you mean ${nearest}?)`;
    throw new KernelError(
      "EINVAL",
      `parts.config has "${String(option)}"${meant}: the options are ${KCONFIG_NAMES.join(", ")}`,
    );
  }
  const said = KCONFIG_NAMES.map((name) => (config.has(name) ? name : `${name}=n`));
  const [message] = checkKconfig(["SPARSEMEM_VMEMMAP", ...said]).map((problem) => problem.message);
  if (message !== undefined) throw new KernelError("EINVAL", `parts.config: ${message}`);
}

/**
 * Checks what a part has made.
 *
 * @throws KernelError EINVAL with the member of its port that is missing
 */
export function checkMade<T>(part: keyof typeof PORTS, made: T): T {
  return expectPort(part, PORTS[part], made);
}

/** Checks the controller that charging comes with. @throws KernelError EINVAL as checkMade() does */
export function checkController(controller: ChargingController): void {
  expectPort("charging", CONTROLLER, controller);
}

/** A port that a part makes, with the members that callers can't do without. */
interface Port {
  readonly port: string;
  /** Functions. */
  readonly members: readonly string[];
  readonly values?: Members;
}

function expectPort<T>(part: PartName, { port, members, values = {} }: Port, made: T): T {
  if (!isObject(made))
    throw new KernelError("EINVAL", `parts.${part} made ${described(made)}: it must make a ${port}`);
  const wrong = (member: string, text: string): KernelError =>
    new KernelError(
      "EINVAL",
      `parts.${part} made no ${port}: its ${text} is ${described(Reflect.get(made, member))}`,
    );
  for (const member of members)
    if (!isFunction(Reflect.get(made, member))) throw wrong(member, `${member}()`);
  for (const [member, kind] of Object.entries(values))
    if (!hasKind(Reflect.get(made, member), kind)) throw wrong(member, member);
  return made;
}

const CONTROLLER: Port = {
  port: "ChargingController",
  members: ["subsystem", "payerOf", "explain"],
  values: { rootPayer: "number", tables: "object" },
};

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
  daxDrivers: { port: "DaxDriver", members: ["probe", "remove"], values: { name: "string" } },
  gpuDrivers: { port: "GpuDevice", members: ["open", "remove"] },
  placement: { port: "Placement", members: ["zoneFor", "validZones"] },
  charging: { port: "PageCharging", members: ["start", "tryCharge", "charge", "uncharge"] },
  clock: { port: "Clock", members: ["advance", "sleep"], values: { nowNs: "number" } },
} as const satisfies Partial<Record<PartName, Port>>;

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
  if (isClass(value)) return "a class";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function factory(of: string): Form {
  return { phrase: `a function that makes ${of}`, accepts: isMaker };
}

function list(of: string, accepts: (each: unknown) => boolean): Form {
  return {
    phrase: `an array of ${of}`,
    accepts: (part) => Array.isArray(part) && Array.from(part).every(accepts),
  };
}

function oneOf(...values: readonly string[]): Form {
  return {
    phrase: values.map((value) => `"${value}"`).join(" or "),
    accepts: (part) => typeof part === "string" && values.includes(part),
  };
}

/** A value with all members of a port. */
function objectWith<P>(port: string, members: { readonly [M in keyof P]: KindOf<P[M]> }): Form {
  return {
    phrase: `a ${port}, with ${Object.keys(members).join(", ")}`,
    accepts: (part) => has(part, members),
  };
}

function has(value: unknown, members: Members): boolean {
  return (
    isObject(value) &&
    Object.entries(members).every(([name, kind]) => hasKind(Reflect.get(value, name), kind))
  );
}

function hasKind(value: unknown, kind: Kind): boolean {
  return typeof value === kind && value !== null;
}

function isFunction(part: unknown): boolean {
  return typeof part === "function";
}

/** A part is made by a call: a class would have to be made with `new`. */
function isMaker(part: unknown): boolean {
  return isFunction(part) && !isClass(part);
}

function isClass(part: unknown): boolean {
  return typeof part === "function" && /^class\b/.test(Function.prototype.toString.call(part));
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
  daxDrivers: list("functions that make a DaxDriver each", isMaker),
  daxSubsystem: oneOf("bus", "class"),
  bindPolicy: objectWith<BindPolicy>("BindPolicy", { answer: "function" }),
  placement: making("placement"),
  autoOnlineTypes: list("online types", (each) => autoOnlineAnyType.some((type) => type === each)),
  removable: { phrase: "a RemovablePolicy, a function of a memory block", accepts: isMaker },
  onlinePolicies: list("OnlinePolicy values { name, zoneFor }", (each) =>
    has(each, { name: "string", zoneFor: "function" }),
  ),
  charging: factory("{ charging: PageCharging }"),
  pagemaps: objectWith<PagemapPolicies>("PagemapPolicies", {
    memoryTypes: "object",
    collision: "object",
    idle: "function",
    structPages: "function",
  }),
  pfnLayout: objectWith<PfnLayoutPolicy>("PfnLayoutPolicy", { altmapUnit: "number", layOut: "function" }),
  gpuDrivers: list("GpuDrivers, each with name, match() and probe()", (each) =>
    has(each, { name: "string", match: "function", probe: "function" }),
  ),
  gpuPolicies: list(
    "MigrationPolicies, each with name, onMiss() and onCpuTouch(), or families of them, each with example and named()",
    (each) =>
      has(each, { name: "string", onMiss: "function", onCpuTouch: "function" }) ||
      has(each, { example: "string", named: "function" }),
  ),
  memoryTiering: yesOrNo,
  gupTest: objectWith<GupTestPolicy>("GupTestPolicy", { file: "string", operations: "object" }),
  udevRules: list("rules { device, run }", (each) => has(each, { device: "string", run: "string" })),
  programs: {
    phrase: "programs by name, each with run and summary",
    accepts: (part) =>
      isObject(part) &&
      Object.values(part).every((each) => has(each, { run: "function", summary: "string" })),
  },
  clock: making("clock"),
};
