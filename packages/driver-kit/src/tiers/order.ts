// Obligations about the order of nodes. Kernel counterparts: memory_tiers, find_create_memory_tier() and node_is_toptier() in
// mm/memory-tiers.c.
import { demand } from "../violation.ts";
import { described, EMPTY, nodesWithMemory, obligation, plug, PLUGGED, unplug } from "./trial.ts";

export const hasEachNode = obligation({
  name: "has each node with memory in a tier",
  sentence:
    "Every node with memory is in a tier: one that is in none is neither demoted from nor shown in /sys.",
  try(trial) {
    const inTiers = trial.tiers.tiers.flatMap(({ nodes }) => nodes);
    for (const node of nodesWithMemory(trial))
      demand(inTiers.includes(node), `node ${node} is in no tier of ${described(trial.tiers)}`);
  },
});

export const hasANodeOnce = obligation({
  name: "has no node in two tiers",
  sentence: "A node is in one tier, once: a pair of tiers that share a node would demote pages in a circle.",
  try({ tiers }) {
    const inTiers = tiers.tiers.flatMap(({ nodes }) => nodes);
    for (const node of new Set(inTiers)) {
      const times = inTiers.filter((each) => each === node).length;
      demand(times === 1, `node ${node} is ${times} times in ${described(tiers)}`);
    }
  },
});

export const hasMemoryOnly = obligation({
  name: "has no node without memory",
  sentence: "A node without memory is in no tier, and no tier is empty.",
  try({ tiers, machine: { memory } }) {
    for (const { id, nodes } of tiers.tiers) {
      demand(nodes.length > 0, `tier ${id} has no node`);
      for (const node of nodes)
        demand((memory.nodes[node]?.presentPages ?? 0) > 0, `node ${node} of tier ${id} has no memory`);
    }
  },
});

export const numbersTiers = obligation({
  name: "numbers its tiers in their order",
  sentence: "Each tier has a number of its own, and a slower one a higher number: memory_tierN in /sys.",
  try({ tiers }) {
    const ids = tiers.tiers.map(({ id }) => id);
    for (const [i, id] of ids.entries())
      demand(
        i === 0 || id > (ids[i - 1] ?? 0),
        `the tiers, the fastest first, are numbered ${ids.join(", ")}`,
      );
  },
});

export const followsHotplug = obligation({
  name: "follows hotplug",
  sentence: "A node is in a tier when its memory is online, and in none when that is gone.",
  try(trial) {
    const { machine, tiers } = trial;
    const [gone] = PLUGGED;
    demand(tiers.tiers.length > 0, "a machine with memory has no tier");
    plug(machine, EMPTY);
    const come = tiers.tiers.some(({ nodes }) => nodes.includes(EMPTY));
    demand(come, `node ${EMPTY} has got memory, and is in no tier of ${described(tiers)}`);
    if (gone === undefined) return;
    unplug(machine, gone);
    const left = tiers.tiers.some(({ nodes }) => nodes.includes(gone));
    demand(!left, `the memory of node ${gone} is gone, and it is in a tier of ${described(tiers)}`);
  },
});

export const hasATop = obligation({
  name: "has its fastest tiers on top",
  sentence:
    "A node is toptier as its whole tier is: the fastest always, and a slower one only if all above it are.",
  try(trial) {
    const { tiers } = trial;
    const withMemory = nodesWithMemory(trial);
    let above = true;
    for (const [rank, tier] of tiers.tiers.entries()) {
      const nodes = tier.nodes.filter((node) => withMemory.includes(node));
      const tops = nodes.filter((node) => tiers.isToptier(node));
      const top = tops.length === nodes.length;
      demand(top || tops.length === 0, `of tier ${nodes.join(", ")}, ${tops.join(", ")} is toptier alone`);
      demand(rank > 0 || top, `the fastest tier, ${nodes.join(", ")}, isn't toptier`);
      demand(above || !top, `tier ${nodes.join(", ")} is toptier, and one that is faster isn't`);
      above = top;
    }
  },
});
