// The tiers by abstract distance meet every obligation, and so do those of docs/ports/tiers.md and none at all; each broken
// implementation is found by the obligation that it breaks.
import { nodeId } from "@hetmem/kernel";
import { AdistanceTiers } from "@hetmem/migrate";
import type { Vm } from "@hetmem/mm";
import { type MemoryTiers, oneTier } from "@hetmem/mm/ports";
import { expect, test } from "vitest";
import { tiersByNode } from "../examples/tiers-by-node.ts";
import { checkConformance, conforms, formatConformance } from "../src/index.ts";
import { tiersKit, type TiersUnderTest } from "../src/tiers/index.ts";

/** One of each kind of machine. */
const SEEDS = 2;

/** Tiers by abstract distance with other functions in place of some. */
function changed(name: string, change: (good: MemoryTiers, vm: Vm) => Partial<MemoryTiers>): TiersUnderTest {
  return {
    name,
    create(vm) {
      const good = new AdistanceTiers(vm.memory);
      const all: MemoryTiers = {
        get tiers() {
          return good.tiers;
        },
        setAdistance: (node, adistance) => good.setAdistance(node, adistance),
        clearAdistance: (node) => good.clearAdistance(node),
        isToptier: (node) => good.isToptier(node),
        nextDemotionNode: (node) => good.nextDemotionNode(node),
        allowedTargets: (node) => good.allowedTargets(node),
      };
      return Object.defineProperties(all, Object.getOwnPropertyDescriptors(change(good, vm)));
    },
  };
}

test.each<TiersUnderTest>([
  { name: "AdistanceTiers", create: ({ memory }) => new AdistanceTiers(memory) },
  { name: "tiersByNode()", create: ({ memory }) => tiersByNode(memory, [[0], [2], [1]]) },
  { name: "oneTier()", create: ({ memory }) => oneTier(memory) },
])("$name meets every obligation", (tiers) => {
  const report = checkConformance(tiersKit, tiers, { seeds: SEEDS });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

/** Demotions of all machines. */
let turns = 0;

const BROKEN: readonly (readonly [obligation: string, tiers: TiersUnderTest])[] = [
  [
    "has each node with memory in a tier",
    changed("forgets the cpus' node when asked for all", (good) => ({
      get tiers() {
        return good.tiers.filter(({ nodes }) => !nodes.includes(nodeId(0)));
      },
      isToptier: (node) => good.tiers.findIndex(({ nodes }) => nodes.includes(node)) < 2,
    })),
  ],
  [
    "has no node in two tiers",
    changed("has the cpus' node twice", (good) => ({
      get tiers() {
        return good.tiers.map(({ id, nodes }) => ({
          id,
          nodes: nodes.includes(nodeId(0)) ? [...nodes, nodeId(0)] : nodes,
        }));
      },
    })),
  ],
  [
    "has no node without memory",
    changed("has all nodes", (good, { memory }) => ({
      get tiers() {
        const { tiers } = good;
        const without = memory.nodes.flatMap((node) => (node?.presentPages === 0 ? [node.id] : []));
        return without.includes(nodeId(3))
          ? tiers.map((tier, i) =>
              i === tiers.length - 1 ? { ...tier, nodes: [...tier.nodes, nodeId(3)] } : tier,
            )
          : tiers;
      },
    })),
  ],
  [
    "numbers its tiers in their order",
    changed("calls all tiers 4", (good) => ({
      get tiers() {
        return good.tiers.map(({ nodes }) => ({ id: 4, nodes }));
      },
    })),
  ],
  [
    "follows hotplug",
    changed("computes its tiers once", (good) => {
      let known: MemoryTiers["tiers"] | undefined;
      return {
        get tiers() {
          return (known ??= good.tiers);
        },
      };
    }),
  ],
  [
    "has its fastest tiers on top",
    changed("has the top below", (good) => ({ isToptier: (node) => !good.isToptier(node) })),
  ],
  [
    "demotes to a slower tier",
    changed("demotes in a circle", (good) => ({
      nextDemotionNode: (node) => (node === 3 ? undefined : (good.nextDemotionNode(node) ?? nodeId(0))),
    })),
  ],
  [
    "demotes to an allowed node",
    changed("allows no other node", (good) => ({
      allowedTargets: () => [],
      isToptier: (node) => good.isToptier(node),
    })),
  ],
  [
    "allows slower tiers only",
    changed("allows all nodes", (good, { memory }) => ({
      allowedTargets: (node) =>
        node === 3
          ? []
          : memory.nodes.flatMap((other) => (other && other.presentPages > 0 ? [other.id] : [])),
      isToptier: (node) => good.isToptier(node),
    })),
  ],
  [
    "answers for a node without memory",
    changed("knows nodes with memory only", (good) => ({
      nextDemotionNode(node) {
        if (!good.tiers.some(({ nodes }) => nodes.includes(node)))
          throw new RangeError(`node ${node} is in no tier`);
        return good.nextDemotionNode(node);
      },
    })),
  ],
  [
    "hears of memory before it comes",
    changed("takes a distance for memory", (good, { memory }) => ({
      setAdistance(node, adistance) {
        if (memory.nodes[node]?.presentPages === 0) throw new RangeError(`node ${node} has no memory`);
        good.setAdistance(node, adistance);
      },
    })),
  ],
  [
    "gives machines that are alike the same answers",
    changed("takes turns on all machines", (good) => ({
      nextDemotionNode(node) {
        const [next] = good.tiers.slice(good.tiers.findIndex(({ nodes }) => nodes.includes(node)) + 1);
        return good.allowedTargets(node).length === 0 ? undefined : next?.nodes[turns++ % next.nodes.length];
      },
    })),
  ],
];

test.each(BROKEN)("tiers that break '%s' are found out, and of nothing else", (name, tiers) => {
  const report = checkConformance(tiersKit, tiers, { seeds: 1 });
  const failed = report.obligations.filter(({ failure }) => failure !== undefined);
  expect(
    failed.map((each) => each.name),
    formatConformance(report),
  ).toEqual([name]);
});

test("every obligation has tiers that break it", () => {
  expect(BROKEN.map(([name]) => name)).toEqual(tiersKit.obligations.map(({ name }) => name));
});
