// Each kit has a page in docs/ports with its obligations: the sentence of a page is the kit's.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { pagemapOpsKit } from "../src/pagemap-ops/index.ts";
import { daxDriverKit } from "../src/dax-driver/index.ts";
import { gpuDriverKit } from "../src/gpu-driver/index.ts";
import { hmmDriverKit } from "../src/hmm-driver/index.ts";
import { type Kit } from "../src/index.ts";
import { onlinePolicyKit } from "../src/online-policy/index.ts";
import { oomChoiceKit } from "../src/oom-choice/index.ts";
import { pageChargingKit } from "../src/page-charging/index.ts";
import { placementKit } from "../src/placement/index.ts";
import { reclaimKit } from "../src/reclaim/index.ts";
import { tiersKit } from "../src/tiers/index.ts";

const PAGES = new URL("../../../docs/ports/", import.meta.url);

const KITS: readonly (readonly [page: string, kit: Pick<Kit<never>, "obligations">])[] = [
  ["pagemap-ops", pagemapOpsKit],
  ["dax-driver", daxDriverKit],
  ["gpu-driver", gpuDriverKit],
  ["hmm-driver", hmmDriverKit],
  ["online-policy", onlinePolicyKit],
  ["oom-choice", oomChoiceKit],
  ["page-charging", pageChargingKit],
  ["placement", placementKit],
  ["reclaim", reclaimKit],
  ["tiers", tiersKit],
];

test.each(KITS)("docs/ports/%s.md says of each obligation what the kit says", (page, { obligations }) => {
  const text = readFileSync(new URL(`${page}.md`, PAGES), "utf8");
  const listed = [...text.matchAll(/^\| (.*) \| (.*) \|$/gm)].map(([, name, sentence]) => ({
    name,
    sentence,
  }));
  for (const { name, sentence } of obligations) expect(listed).toContainEqual({ name, sentence });
});

test.each([
  ["dax-driver", ["tiny-kmem"]],
  ["page-charging", ["limit-per-payer"]],
  ["online-policy", ["movable-share"]],
  ["oom-choice", ["youngest-first"]],
  ["other-parts", ["reserved-swap", "some-to-one-node", "second-touch"]],
  ["placement", ["movable-without-cpus"]],
  ["reclaim", ["counting-reclaim"]],
  ["tiers", ["tiers-by-node"]],
])("docs/ports/%s.md shows the examples %s", (page, examples) => {
  const text = readFileSync(new URL(`${page}.md`, PAGES), "utf8");
  const shown = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block]) => block);
  const files = examples.map((name) => new URL(`../examples/${name}.ts`, import.meta.url));
  expect(shown).toEqual(files.map((file) => readFileSync(file, "utf8")));
});
