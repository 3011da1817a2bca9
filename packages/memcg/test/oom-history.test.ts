import { MiB } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { attributeMemory } from "../src/explain/attribution.ts";
import { explainText } from "../src/explain/report.ts";
import { limitsMachine } from "./limits-machine.ts";

test("a kill is explained by the charges that were refused and what reclaim found, up to who was chosen", () => {
  const machine = limitsMachine({ swap: 2 * MiB });
  const { memcgs, limits } = machine;
  const web = memcgs.create(memcgs.root, "web");
  const api = memcgs.create(web, "api");
  web.memory.max = 1000;
  const small = machine.spawn(api, "small");
  machine.fill(small, 50);
  const hog = machine.spawn(api, "hog");
  machine.fill(hog, 3000);
  const [report, ...others] = limits.history.of(web);
  expect(others).toEqual([]);
  expect(report).toMatchObject({ cgroup: "/web", max: 1000, killed: [{ comm: "hog", cgroup: "/web/api" }] });
  const chain = report?.chain ?? [];
  expect(chain.every(({ over, payer }) => over === "/web" && payer === "/web/api")).toBe(true);
  // First there was swap to go to; in the end nothing went any more.
  expect(chain[0]?.reclaimed ?? 0).toBeGreaterThan(0);
  expect(chain.at(-1)).toMatchObject({ reclaimed: 0, comm: "hog", pages: 1 });
  expect(report?.candidates.map(({ comm }) => comm)).toEqual(["small", "hog"]);
  const text = explainText(attributeMemory(memcgs, web), limits.history.of(web));
  expect(text).toMatch(/out of memory in \/web: \d+ of 1000 pages, swap 512 of max/);
  expect(text).toMatch(
    /hog \(\d+\) wants 1 at 1000 of 1000 in \/web, for \/web\/api: \d+ looked at, 0 freed, \d+ times/,
  );
  expect(text).toContain(`killed: hog (${hog.pid})`);
});

test("kills in other cgroups are not told of, and those of a cgroup below are", () => {
  const machine = limitsMachine();
  const { memcgs, limits } = machine;
  const [a, b] = ["a", "b"].map((name) => memcgs.create(memcgs.root, name)) as [
    typeof memcgs.root,
    typeof memcgs.root,
  ];
  const below = memcgs.create(a, "below");
  below.memory.max = 100;
  machine.fill(machine.spawn(below, "hog"), 200);
  expect(limits.history.of(below)).toHaveLength(1);
  expect(limits.history.of(a)).toHaveLength(1);
  expect(limits.history.of(memcgs.root)).toHaveLength(1);
  expect(limits.history.of(b)).toEqual([]);
});

test("who stays below his limits is never noted", () => {
  const machine = limitsMachine();
  const { memcgs, limits } = machine;
  const web = memcgs.create(memcgs.root, "web");
  web.memory.max = 1000;
  machine.fill(machine.spawn(web), 500);
  expect(web.events("max")).toBe(0);
  expect(limits.history.of(web)).toEqual([]);
});
