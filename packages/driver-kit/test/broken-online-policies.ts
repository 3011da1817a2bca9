// The policy contig-zones with one mistake each. Every one breaks one obligation, and no other. A policy is a value that machines
// share, so that a mistake of a machine's own is remembered by its memory.
import { KernelError, nodeId } from "@hetmem/kernel";
import {
  contigZones,
  type Memory,
  type ModuleParameter,
  type OnlinePolicy,
  type Zone,
  uintParameter,
  zoneOfNode,
  ZoneType,
} from "@hetmem/zone";

const { zoneFor } = contigZones;

/** Refuses devices that plug memory in units. */
const refusesUnits: OnlinePolicy["zoneFor"] = (host, request) => {
  if (request.group?.kind.type === "dynamic") throw new KernelError("EPERM", "no units here");
  return zoneFor(host, request);
};

/** Takes every range for memory of node 0. */
const forgetsTheNode: OnlinePolicy["zoneFor"] = (host, request) =>
  zoneFor(host, { ...request, node: nodeId(0) });

/** Takes the lowest kernel zone that has memory. */
const fillsTheLowestZone: OnlinePolicy["zoneFor"] = (host, request) => {
  const dma32 = zoneOfNode(host.memory, request.node, ZoneType.DMA32);
  const zone = zoneFor(host, request);
  return zone.type === ZoneType.Normal && dma32.populated ? dma32 : zone;
};

/** Sets the node online, to look at its zones. */
const opensTheNode: OnlinePolicy["zoneFor"] = (host, request) => {
  const node = host.memory.nodes[request.node];
  if (node) node.online = true;
  return zoneFor(host, request);
};

const asked = new WeakMap<Memory, Map<number, number>>();

/** Answers with Movable once it was asked twenty times about a range. */
const losesPatience: OnlinePolicy["zoneFor"] = (host, request) => {
  const counts = asked.get(host.memory) ?? new Map<number, number>();
  asked.set(host.memory, counts);
  const times = (counts.get(request.start) ?? 0) + 1;
  counts.set(request.start, times);
  const zone = zoneFor(host, request);
  const other = zone.type === ZoneType.Movable ? ZoneType.Normal : ZoneType.Movable;
  return times > 20 ? zoneOfNode(host.memory, request.node, other) : zone;
};

const machines = new WeakMap<Memory, number>();
let made = 0;

/** Prefers Movable on every other machine. */
const alternates: OnlinePolicy["zoneFor"] = (host, request) => {
  const ordinal = machines.get(host.memory) ?? made++;
  machines.set(host.memory, ordinal);
  return ordinal % 2 === 0 ? zoneFor(host, request) : zoneOfNode(host.memory, request.node, ZoneType.Movable);
};

/** Looks at the struct pages of the range. */
const needsStructPages: OnlinePolicy["zoneFor"] = (host, request) => {
  if (!host.memory.memmap.pfnValid(request.start)) throw new KernelError("ENXIO", "no struct pages");
  return zoneFor(host, request);
};

/** Shows its unit, which it doesn't read. */
const withUnit: ModuleParameter<number> = {
  ...uintParameter("blocks", 1),
  format: (value) => `${value} blocks`,
};

const stripe = uintParameter("stripe", 2);

/** Gives stripes of blocks to Normal and Movable by turns, and doesn't expect stripes of no blocks. */
const dividesByZero: OnlinePolicy["zoneFor"] = ({ memory, parameters }, request): Zone => {
  const turn = Math.floor(request.start / request.pages / parameters.get(stripe)) % 2;
  const zone = [ZoneType.Normal, ZoneType.Movable].map((type) => zoneOfNode(memory, request.node, type))[
    turn
  ];
  if (zone === undefined) throw new RangeError(`there is no turn ${turn}`);
  return zone;
};

/** The obligation, and a policy that breaks it. */
export const BROKEN: readonly (readonly [obligation: string, policy: OnlinePolicy])[] = [
  ["is chosen by its name", { ...contigZones, name: "contig zones" }],
  ["answers every request", { name: "refusesUnits", zoneFor: refusesUnits }],
  ["answers a zone of the block's node", { name: "forgetsTheNode", zoneFor: forgetsTheNode }],
  ["keeps DMA zones below their limits", { name: "fillsTheLowestZone", zoneFor: fillsTheLowestZone }],
  ["changes nothing when it is asked", { name: "opensTheNode", zoneFor: opensTheNode }],
  ["answers alike when it is asked again", { name: "losesPatience", zoneFor: losesPatience }],
  ["answers from the state alone", { name: "alternates", zoneFor: alternates }],
  ["places memory before it is there", { name: "needsStructPages", zoneFor: needsStructPages }],
  ["reads its parameters back", { ...contigZones, name: "withUnit", parameters: [withUnit] }],
  [
    "answers under every value of its parameters",
    { name: "dividesByZero", parameters: [stripe], zoneFor: dividesByZero },
  ],
];
