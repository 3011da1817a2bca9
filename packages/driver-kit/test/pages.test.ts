// Each kit has a page in docs/ports with its obligations: the sentence of a page is the kit's.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { hmmDriverKit } from "../src/hmm-driver/index.ts";

const PAGES = new URL("../../../docs/ports/", import.meta.url);

test.each([["hmm-driver", hmmDriverKit]])(
  "docs/ports/%s.md says of each obligation what the kit says",
  (page, { obligations }) => {
    const text = readFileSync(new URL(`${page}.md`, PAGES), "utf8");
    const listed = [...text.matchAll(/^\| (.*) \| (.*) \|$/gm)].map(([, name, sentence]) => ({
      name,
      sentence,
    }));
    for (const { name, sentence } of obligations) expect(listed).toContainEqual({ name, sentence });
  },
);
