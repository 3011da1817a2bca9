// The files of CPUs and of the kernel itself, which no package models: what the captured host said, and for what it left out
// (or for a machine from a YAML file, all of it) a plain topology: a package a node, a core a CPU.
// Kernel counterparts: drivers/base/cpu.c, drivers/base/topology.c, arch/x86/kernel/cpu/proc.c.
import { formatIdList } from "@hetmem/kernel";
import type { Attribute, AttributeTable } from "@hetmem/vfs";
import type { MachineSpec } from "@hetmem/machine-spec";

const CPU_ROOT = "/sys/devices/system/cpu";
const PROC_ROOT = "/proc";

/** The tables to mount: /sys/devices/system/cpu, and cpuinfo, version and cmdline of /proc. */
export function cpuTables(spec: MachineSpec): AttributeTable[] {
  const cpus = placeCpus(spec);
  const lists = `${formatIdList(cpus.map(({ cpu }) => cpu))}\n`;
  const sysfs = new Map([
    ["kernel_max", "8191\n"],
    ["online", lists],
    ["possible", lists],
    ["present", lists],
    ["offline", "\n"],
  ]);
  const sockets = socketsOf(cpus);
  const bits = cpus.reduce((most, { cpu }) => Math.max(most, cpu), 0) + 1;
  const socketFiles = new Map(
    [...sockets].map(([socket, members]) => [socket, filesOfSocket(members, bits)]),
  );
  for (const place of cpus) {
    for (const [name, text] of [...topology(place, bits), ...(socketFiles.get(place.package) ?? [])])
      sysfs.set(`cpu${place.cpu}/topology/${name}`, text);
  }
  const proc = new Map([
    ["cpuinfo", cpus.map((place) => cpuinfo(place, sockets, spec.physicalBits)).join("\n")],
    ["cmdline", `${commandLine(spec)}\n`],
    ["version", `Linux version ${spec.release} (hetmem) #1 SMP\n`],
  ]);
  for (const [path, text] of spec.passthrough ?? []) {
    if (path.startsWith(`${CPU_ROOT}/`)) sysfs.set(path.slice(CPU_ROOT.length + 1), text);
    if (path.startsWith(`${PROC_ROOT}/`)) proc.set(path.slice(PROC_ROOT.length + 1), text);
  }
  return [
    {
      root: CPU_ROOT,
      files: readOnly(sysfs),
      links: Object.fromEntries(
        cpus.map(({ cpu, node }) => [`cpu${cpu}/node${node}`, () => `../../node/node${node}`]),
      ),
    },
    { root: PROC_ROOT, files: readOnly(proc) },
  ];
}

/** A CPU's place in the topology. */
interface CpuPlace {
  readonly cpu: number;
  readonly node: number;
  /** The socket. */
  readonly package: number;
  readonly core: number;
}

function placeCpus(spec: MachineSpec): CpuPlace[] {
  const captured = capturedPackages(spec);
  const nodesWithCpus = spec.nodes.filter((node) => node.cpus.length > 0);
  const places = nodesWithCpus.flatMap((node, index) =>
    node.cpus.map((cpu, core) => ({ cpu, node: node.id, package: captured.get(cpu) ?? index, core })),
  );
  return places.sort((a, b) => a.cpu - b.cpu);
}

/** The socket of each CPU that /proc/cpuinfo of the host names. */
function capturedPackages(spec: MachineSpec): Map<number, number> {
  const packages = new Map<number, number>();
  for (const paragraph of (spec.passthrough?.get("/proc/cpuinfo") ?? "").split("\n\n")) {
    const cpu = /^processor\s*: (\d+)$/m.exec(paragraph)?.[1];
    const socket = /^physical id\s*: (\d+)$/m.exec(paragraph)?.[1];
    if (cpu !== undefined && socket !== undefined) packages.set(Number(cpu), Number(socket));
  }
  return packages;
}

/** The CPUs of each socket. */
function socketsOf(cpus: readonly CpuPlace[]): Map<number, number[]> {
  const sockets = new Map<number, number[]>();
  for (const place of cpus) {
    const members = sockets.get(place.package);
    if (members) members.push(place.cpu);
    else sockets.set(place.package, [place.cpu]);
  }
  return sockets;
}

/** The files of cpuN/topology about the CPU itself: a group of CPUs has its newer and its older name. */
function topology(place: CpuPlace, bits: number): [string, string][] {
  return [
    ["physical_package_id", `${place.package}\n`],
    ["die_id", "0\n"],
    ["core_id", `${place.core}\n`],
    ...group(["core_cpus", "thread_siblings"], [place.cpu], bits),
  ];
}

/** The files of cpuN/topology that are the same for all CPUs of a socket. */
function filesOfSocket(members: readonly number[], bits: number): [string, string][] {
  return group(["die_cpus", "package_cpus", "core_siblings"], members, bits);
}

/** A group of CPUs as a mask and as a list, under each of its names. */
function group(names: readonly string[], cpus: readonly number[], bits: number): [string, string][] {
  const mask = `${cpuMask(cpus, bits)}\n`;
  const list = `${formatIdList(cpus)}\n`;
  return names.flatMap((name): [string, string][] => [
    [name, mask],
    [`${name}_list`, list],
  ]);
}

/** A set of CPUs in hexadecimal, 32 bits a group, the highest first and no wider than it need be. */
function cpuMask(cpus: readonly number[], bits: number): string {
  const groups = Array.from({ length: Math.ceil(bits / 32) }, () => 0);
  for (const cpu of cpus)
    groups[Math.floor(cpu / 32)] = ((groups[Math.floor(cpu / 32)] ?? 0) | (1 << (cpu % 32))) >>> 0;
  const digits = Math.ceil((bits % 32 || 32) / 4);
  return groups
    .map((bitsOf, index) => bitsOf.toString(16).padStart(index === groups.length - 1 ? digits : 8, "0"))
    .toReversed()
    .join(",");
}

function cpuinfo(
  place: CpuPlace,
  sockets: ReadonlyMap<number, readonly number[]>,
  physicalBits: number,
): string {
  const inPackage = sockets.get(place.package)?.length ?? 0;
  return [
    `processor\t: ${place.cpu}`,
    "vendor_id\t: hetmem",
    "model name\t: hetmem model CPU",
    `physical id\t: ${place.package}`,
    `siblings\t: ${inPackage}`,
    `core id\t\t: ${place.core}`,
    `cpu cores\t: ${inPackage}`,
    `address sizes\t: ${physicalBits} bits physical, 48 bits virtual`,
    "",
  ].join("\n");
}

function commandLine({ options }: MachineSpec): string {
  const words: string[] = [];
  if (options.kernelcore !== undefined) words.push(`kernelcore=${options.kernelcore}`);
  if (options.movablecore !== undefined) words.push(`movablecore=${options.movablecore}`);
  if (options.movable_node) words.push("movable_node");
  if (options.memmap_on_memory) words.push("memory_hotplug.memmap_on_memory=Y");
  if (options.memhp_default_state) words.push(`memhp_default_state=${options.memhp_default_state}`);
  return words.join(" ");
}

function readOnly(files: ReadonlyMap<string, string>): Record<string, Attribute> {
  return Object.fromEntries([...files].map(([path, text]) => [path, { show: () => text }]));
}
