// Each kit has a page in docs/ports with its obligations: the sentence of a page is the kit's.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { hmmDriverKit } from "../src/hmm-driver/index.ts";
import { type Kit } from "../src/index.ts";
import { pageChargingKit } from "../src/page-charging/index.ts";

const PAGES = new URL("../../../docs/ports/", import.meta.url);

const KITS: readonly (readonly [page: string, kit: Pick<Kit<never>, "obligations">])[] = [
  ["hmm-driver", hmmDriverKit],
  ["page-charging", pageChargingKit],
];

test.each(KITS)("docs/ports/%s.md says of each obligation what the kit says", (page, { obligations }) => {
  const text = readFileSync(new URL(`${page}.md`, PAGES), "utf8");
  const listed = [...text.matchAll(/^\| (.*) \| (.*) \|$/gm)].map(([, name, sentence]) => ({
    name,
    sentence,
  }));
  for (const { name, sentence } of obligations) expect(listed).toContainEqual({ name, sentence });
});

test("the charging of docs/ports/page-charging.md is the example", () => {
  const [, block] =
    /```ts\n([\s\S]*?)```/.exec(readFileSync(new URL("page-charging.md", PAGES), "utf8")) ?? [];
  expect(block).toBe(readFileSync(new URL("../examples/limit-per-payer.ts", import.meta.url), "utf8"));
});
