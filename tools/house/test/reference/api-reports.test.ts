// The interface of each package is committed as text: a change of it shows in reviews.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { apiReports, reportFileOf } from "../../src/reference/api-reports.ts";
import { packages, ROOT } from "../../src/workspace.ts";

const REPORTS = apiReports();

test.each(packages())("docs/api has the interface of $name", async ({ name }) => {
  const hint = "the interface has changed; `npm run reference` writes its report anew";
  await expect(REPORTS.get(name), hint).toMatchFileSnapshot(join(ROOT, "docs/api", reportFileOf(name)));
});

test("docs/api has a report for each package, and no other", () => {
  expect(readdirSync(join(ROOT, "docs/api")).sort()).toEqual([...REPORTS.keys()].map(reportFileOf).sort());
});
