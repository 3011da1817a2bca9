import { MiB } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { limitsMachine } from "@hetmem/test-machines/limits-machine";
import { attributeMemory, explainText, OomHistory } from "../src/index.ts";

test("a kill is explained by the charges that were refused and what reclaim found, up to who was chosen", () => {
  const machine = limitsMachine({ swap: 2 * MiB });
  const { memcgs, limits } = machine;
  const history = new OomHistory(limits);
  const web = memcgs.create(memcgs.root, "web");
  const api = memcgs.create(web, "api");
  web.memory.max = 1000;
  const small = machine.spawn(api, "small");
  machine.fill(small, 50);
  const hog = machine.spawn(api, "hog");
  machine.fill(hog, 3000);
  const [report, ...others] = history.of(web);
  expect(others).toEqual([]);
  expect(report).toMatchObject({ cgroup: "/web", max: 1000, killed: [{ comm: "hog", cgroup: "/web/api" }] });
  const chain = report?.chain ?? [];
  expect(chain.every(({ over, payer }) => over === "/web" && payer === "/web/api")).toBe(true);
  // First there was swap to go to; in the end nothing went any more.
  expect(chain[0]?.reclaimed ?? 0).toBeGreaterThan(0);
  expect(chain.at(-1)).toMatchObject({ reclaimed: 0, comm: "hog", pages: 1 });
  expect(report?.candidates.map(({ comm }) => comm)).toEqual(["small", "hog"]);
  const text = explainText(attributeMemory(memcgs, web), history.of(web));
  expect(text).toContain(`out of memory: /web. Killed: hog (${hog.pid}) in /web/api\n`);
  expect(text).toContain(
    "memory in use 3.9 MiB of 3.9 MiB, swap 2.0 MiB; the machine had 0 KiB of swap left",
  );
  expect(text).toMatch(
    /hog \(\d+\) wanted 4 KiB for \/web\/api beyond the 3\.9 MiB that \/web may have: reclaim .* in \d+ attempts\n/,
  );
  expect(text).toMatch(/ +[\d.]+ MiB +[\d.]+ MiB +- +- +1\.8 MiB {3}hog \(\d+\) in \/web\/api, killed\n/);
});

test("a kill for the machine's sake is explained as those of cgroups are, to the machine and to whoever lost a process", () => {
  const machine = limitsMachine({ nodes: [8 * MiB], swap: MiB });
  const { memcgs, limits } = machine;
  const history = new OomHistory(limits);
  const [web, other] = [memcgs.create(memcgs.root, "web"), memcgs.create(memcgs.root, "other")];
  machine.fill(machine.spawn(other, "small"), 50);
  // A limit that is kept doesn't make the machine short.
  other.memory.max = other.memory.usage;
  machine.read(machine.spawn(other, "reader"), machine.file(20), 0, 20);
  expect(other.events("max")).toBeGreaterThan(0);
  const hog = machine.spawn(web, "hog");
  machine.fill(hog, 3000);
  expect(hog.killed).toBe(true);
  const [report, ...others] = history.of(memcgs.root);
  expect(others).toEqual([]);
  expect(report).toMatchObject({
    shortage: "machine",
    cgroup: "/",
    invokedBy: { comm: "hog" },
    swapFree: 0,
    killed: [{ comm: "hog", cgroup: "/web" }],
  });
  expect(report?.candidates.map(({ comm }) => comm)).toEqual(["small", "reader", "hog"]);
  const { chain = [], usage = 0, max = 0 } = report ?? {};
  // What was tried for the machine's sake: reclaim freed something first, and then nothing.
  expect(chain[0]).toMatchObject({ comm: "hog", payer: "/web", max });
  expect(chain.every(({ over }) => over === "/")).toBe(true);
  expect(chain.some(({ reclaimed }) => reclaimed > 0)).toBe(true);
  expect(chain.at(-1)?.reclaimed).toBe(0);
  expect(usage).toBeGreaterThan(max * 0.9);
  expect(history.of(web)).toEqual([report]);
  expect(history.of(other)).toEqual([]);
  expect(explainText(attributeMemory(memcgs, web), history.of(web))).toMatch(
    /out of memory: the machine\. Killed: hog \(\d+\) in \/web\n/,
  );
});

test("kills in other cgroups are not told of, and those of a cgroup below are", () => {
  const machine = limitsMachine();
  const { memcgs, limits } = machine;
  const history = new OomHistory(limits);
  const [a, b] = ["a", "b"].map((name) => memcgs.create(memcgs.root, name)) as [
    typeof memcgs.root,
    typeof memcgs.root,
  ];
  const below = memcgs.create(a, "below");
  below.memory.max = 100;
  machine.fill(machine.spawn(below, "hog"), 200);
  expect(history.of(below)).toHaveLength(1);
  expect(history.of(a)).toHaveLength(1);
  expect(history.of(memcgs.root)).toHaveLength(1);
  expect(history.of(b)).toEqual([]);
});

test("who stays below his limits is never noted", () => {
  const machine = limitsMachine();
  const { memcgs, limits } = machine;
  const history = new OomHistory(limits);
  const web = memcgs.create(memcgs.root, "web");
  web.memory.max = 1000;
  machine.fill(machine.spawn(web), 500);
  expect(web.events("max")).toBe(0);
  expect(history.of(web)).toEqual([]);
});

test("a machine behaves alike with a history and without", () => {
  const [watched, alone] = [true, false].map((records) => {
    const machine = limitsMachine({ nodes: [8 * MiB], swap: MiB });
    const { memcgs, limits } = machine;
    const history = records ? new OomHistory(limits) : undefined;
    const web = memcgs.create(memcgs.root, "web");
    web.memory.max = 500;
    machine.fill(machine.spawn(web, "limited"), 1000);
    const hog = machine.spawn(memcgs.root, "hog");
    machine.fill(hog, 3000);
    expect(history?.of(memcgs.root).length ?? 2).toBe(2);
    return [
      machine.log(),
      web.memory.usage,
      web.events("oom_kill"),
      memcgs.root.events("oom_kill"),
      hog.killed,
    ];
  });
  expect(watched).toEqual(alone);
});
