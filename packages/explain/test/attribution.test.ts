import { MiB, nodeId } from "@hetmem/kernel";
import { chargeKernel, unchargeKernel } from "@hetmem/memcg";
import { mbind } from "@hetmem/migrate";
import { exitProcess, forkProcess, MapFlag, mmap, munmap, Prot } from "@hetmem/mm";
import { expect, test } from "vitest";
import { type LimitsMachine, limitsMachine } from "@hetmem/test-machines/limits-machine";
import { attributeMemory, type Attribution, explainText } from "../src/index.ts";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

/** The sum of each list of an attribution. */
function sums({ cgroups, processes, holdings, nodes, unmapped, stocked, objects }: Attribution): number[] {
  const sum = (parts: readonly { readonly pages: number }[]): number =>
    parts.reduce((all, { pages }) => all + pages, 0);
  const shares = processes.reduce((all, { share }) => all + share, 0);
  return [
    sum(cgroups) + stocked + objects,
    Math.round(shares) + unmapped + stocked + objects,
    sum(holdings) + stocked + objects,
    sum(nodes) + stocked + objects,
  ];
}

function webMachine(): { machine: LimitsMachine; web: ReturnType<LimitsMachine["memcgs"]["create"]> } {
  const machine = limitsMachine({ nodes: [64 * MiB, 64 * MiB], swap: 16 * MiB });
  return { machine, web: machine.memcgs.create(machine.memcgs.root, "web") };
}

test("each page of a cgroup is found with a process, in a mapping and on a node, and all of them add up to its usage", () => {
  const { machine, web } = webMachine();
  const server = machine.spawn(web, "server");
  const file = machine.file(300);
  machine.fill(server, 200);
  machine.read(server, file, 0, 300);
  machine.run(mmap(mmOf(server), { length: 300 * PAGE, prot: Prot.READ, flags: MapFlag.SHARED, file }));
  const found = attributeMemory(machine.memcgs, web);
  expect(found.pages).toBe(web.memory.usage);
  expect(sums(found)).toEqual([found.pages, found.pages, found.pages, found.pages]);
  expect(found.processes).toMatchObject([{ pid: server.pid, comm: "server", cgroup: "/web", pages: 200 }]);
  expect(found.holdings).toContainEqual({ name: "/data/100", pages: 300 });
  expect(found.holdings).toContainEqual({ name: "anonymous memory", pages: 200 });
  expect(found.unmapped).toBeGreaterThanOrEqual(300);
});

test("a page that two processes map counts half for each, though one cgroup pays for it", () => {
  const { machine, web } = webMachine();
  const parent = machine.spawn(web, "parent");
  machine.fill(parent, 100);
  const child = machine.run(forkProcess(parent));
  machine.memcgs.attach(mmOf(child), machine.memcgs.root);
  const { processes } = attributeMemory(machine.memcgs, web);
  expect(processes).toMatchObject([
    { pid: parent.pid, pages: 100, share: 50, cgroup: "/web" },
    { pid: child.pid, pages: 100, share: 50, cgroup: "/" },
  ]);
});

test("what a process took before it moved away is still found with it, at the cost of the cgroup it left", () => {
  const { machine, web } = webMachine();
  const mover = machine.spawn(web, "mover");
  machine.fill(mover, 100);
  const api = machine.memcgs.create(machine.memcgs.root, "api");
  machine.memcgs.attach(mmOf(mover), api);
  machine.fill(mover, 40);
  expect(attributeMemory(machine.memcgs, web).processes).toMatchObject([{ cgroup: "/api", pages: 100 }]);
  expect(attributeMemory(machine.memcgs, api).processes).toMatchObject([{ cgroup: "/api", pages: 40 }]);
  expect(explainText(attributeMemory(machine.memcgs, web), [])).toContain(`mover (${mover.pid}, in /api)`);
});

test("pages in swap are found with the process that misses them", () => {
  const { machine, web } = webMachine();
  const sleeper = machine.spawn(web, "sleeper");
  machine.fill(sleeper, 500);
  machine.run(machine.limits.reclaim(web, 200, undefined));
  const found = attributeMemory(machine.memcgs, web);
  expect(found.swapPages).toBe(web.swap.usage);
  expect(found.processes[0]?.swap).toBe(web.swap.usage);
  expect(found.swapPages).toBeGreaterThanOrEqual(200);
});

test("pages on another node are counted there", () => {
  const { machine, web } = webMachine();
  const process = machine.spawn(web);
  const start = machine.map(process, 64);
  machine.run(mbind(mmOf(process), start, 64 * PAGE, { mode: "bind", nodes: [nodeId(1)] }, 0));
  machine.touch(process, start, 64);
  const { nodes } = attributeMemory(machine.memcgs, web);
  expect(nodes.find(({ node }) => node === 1)?.pages).toBe(64);
});

test("a removed cgroup is shown below its parent for as long as somebody uses what it paid for", () => {
  const { machine, web } = webMachine();
  const { memcgs } = machine;
  const old = memcgs.create(web, "old");
  const process = machine.spawn(old, "left");
  const start = machine.map(process, 50);
  machine.touch(process, start, 50);
  memcgs.offline(old);
  const found = attributeMemory(memcgs, web);
  expect(found.cgroups).toContainEqual({ path: "/web/old", online: false, pages: 50, swapPages: 0 });
  expect(explainText(found, [])).toContain("/web/old (removed)");
  machine.run(munmap(mmOf(process), start, 50 * PAGE));
  expect(attributeMemory(memcgs, web).cgroups.map(({ path }) => path)).toEqual(["/web"]);
  machine.run(exitProcess(process));
});

test("objects of the kernel are counted beside the pages", () => {
  const { machine, web } = webMachine();
  const object = machine.run(chargeKernel(machine.memcgs, web, 10 * PAGE));
  const found = attributeMemory(machine.memcgs, web);
  expect(found).toMatchObject({ pages: web.memory.usage, objects: 10, unmapped: 0 });
  expect(sums(found)).toEqual([found.pages, found.pages, found.pages, found.pages]);
  if (object) unchargeKernel(machine.memcgs, object);
});

test("a file that nobody maps is called by its path where somebody knows it, and else by its number", () => {
  const { machine, web } = webMachine();
  const [known, unknown] = [machine.file(20), machine.file(10)];
  const reader = machine.spawn(web, "reader");
  machine.read(reader, known, 0, 20);
  machine.read(reader, unknown, 0, 10);
  const file = (inode: typeof known.host): string | undefined =>
    inode === known.host ? "/srv/data" : undefined;
  const { holdings } = attributeMemory(machine.memcgs, web, { file });
  expect(holdings).toContainEqual({ name: "/srv/data", pages: 20 });
  expect(holdings.find(({ pages }) => pages === 10)?.name).toMatch(/^file \d+:\d+ inode 101$/);
});

test("of many processes, cgroups and files the largest are shown, and the rest together", () => {
  const { machine, web } = webMachine();
  for (let i = 0; i < 30; i++) {
    const cgroup = machine.memcgs.create(web, `worker${i}`);
    machine.fill(machine.spawn(cgroup, `worker${i}`), 100 + i);
  }
  const text = explainText(attributeMemory(machine.memcgs, web), []);
  expect(text).toMatch(/ 516 KiB +- {3}worker29 \(\d+, in \/web\/worker29\)\n/);
  expect(text).not.toContain("worker3 (");
  expect(text).toMatch(/ 4\.1 MiB +- {3}10 more processes\n/);
  expect(text).toMatch(/ 4\.\d MiB +- {3}10 more cgroups\n/);
});
