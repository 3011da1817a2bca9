// Policies as values, where a process's own takes its pages from, and what the system calls answer.
import { outcome } from "@hetmem/test-machines/outcome";
import { KernelError, MiB, nodeId, run, virtAddr } from "@hetmem/kernel";
import {
  allocWithPolicy,
  type MempolicyRequest,
  mpolEqual,
  MpolFlag,
  mpolNew,
  mpolToString,
  policyNode,
  tryAllocWithPolicy,
} from "@hetmem/mm/policy";
import { NULL_PAGE } from "@hetmem/page";
import { fill, map, nodesOf, outcomeOf } from "@hetmem/test-machines/placed-memory";
import { mmOf, pageAt, vmMachine } from "@hetmem/test-machines/vm-machine";
import { Gfp, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, NumaStat } from "@hetmem/zone";
import { expect, test } from "vitest";
import {
  getMempolicy,
  getMempolicyAt,
  getMempolicyNode,
  getMempolicyNodeAt,
  memsAllowed,
  setMempolicy,
} from "../src/set-mempolicy.ts";

const nodes = (...ids: number[]) => ids.map(nodeId);
const THREE = { nodes: [32 * MiB, 32 * MiB, 32 * MiB] };

function outcomeOfRequest(request: MempolicyRequest): string {
  const { memory } = vmMachine();
  return outcome(() => mpolNew(memory, request));
}

test("a process without a policy takes its pages from the node that it runs on", () => {
  const { spawn } = vmMachine();
  const process = spawn("local", 1);
  const start = map(process, 4);
  fill(process, start, 4);
  expect(nodesOf(process, start, 4)).toEqual([1, 1, 1, 1]);
});

test("a process that is bound takes its pages from its nodes only, wherever it runs", () => {
  const { spawn } = vmMachine();
  const process = spawn("bound", 0);
  setMempolicy(mmOf(process), { mode: "bind", nodes: nodes(1) });
  const start = map(process, 4);
  fill(process, start, 4);
  expect(nodesOf(process, start, 4)).toEqual([1, 1, 1, 1]);
});

test("an allocation that is bound fails when its nodes are full, though others have room", () => {
  const { spawn, vm, memory } = vmMachine();
  const mm = mmOf(spawn());
  setMempolicy(mm, { mode: "bind", nodes: nodes(1) });
  const gfp = GFP_HIGHUSER_MOVABLE;
  while (tryAllocWithPolicy(vm, undefined, mm, 0, gfp, 0) !== NULL_PAGE);
  expect(memory.allocator.allocPages(gfp | Gfp.THISNODE, 0, nodeId(1))).toBe(NULL_PAGE);
  expect(memory.allocator.allocPages(gfp | Gfp.THISNODE, 0, nodeId(0))).not.toBe(NULL_PAGE);
});

test("a bound allocation that may sleep never comes from another node", () => {
  const { spawn, vm } = vmMachine({ nodes: [32 * MiB, 16 * MiB] });
  const mm = mmOf(spawn());
  setMempolicy(mm, { mode: "bind", nodes: nodes(1) });
  const seen = new Set<number>();
  for (let i = 0; i < 3 * 4096; i++) {
    const page = run(allocWithPolicy(vm, undefined, mm, 0, GFP_HIGHUSER_MOVABLE, 0));
    if (page === NULL_PAGE) break;
    seen.add(vm.memmap.nodeOf(page));
  }
  expect([...seen]).toEqual([1]);
});

test("preferred nodes are left when they are full", () => {
  const { spawn, vm } = vmMachine(THREE);
  const mm = mmOf(spawn());
  setMempolicy(mm, { mode: "preferred_many", nodes: nodes(1, 2) });
  const counts = [0, 0, 0];
  for (;;) {
    const page = tryAllocWithPolicy(vm, undefined, mm, 0, GFP_HIGHUSER_MOVABLE, 0);
    if (page === NULL_PAGE) break;
    const node = vm.memmap.nodeOf(page);
    counts[node] = (counts[node] ?? 0) + 1;
    if (node !== 0) expect(counts[0]).toBe(0);
  }
  expect(Math.min(...counts)).toBeGreaterThan(1000);
});

test("preferred means the first of the nodes, and any other when that is full", () => {
  const { spawn } = vmMachine(THREE);
  const mm = mmOf(spawn());
  setMempolicy(mm, { mode: "preferred", nodes: nodes(2, 1) });
  expect(mpolToString(mm.policy)).toBe("prefer:1");
  expect(policyNode(mm, undefined, 0)).toBe(1);
});

test("a mapping of a process that interleaves alternates by address, in whatever order it is touched", () => {
  const { spawn } = vmMachine();
  const process = spawn();
  setMempolicy(mmOf(process), { mode: "interleave", nodes: nodes(0, 1) });
  const start = map(process, 8);
  fill(process, pageAt(start, 4), 4);
  fill(process, start, 4);
  const first = nodesOf(process, start, 1)[0] ?? 0;
  expect(nodesOf(process, start, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((i) => (i + first) % 2));
});

test("pages that no mapping asks for alternate by turns, and numa_interleave counts them", () => {
  const { spawn, vm, memory } = vmMachine(THREE);
  const mm = mmOf(spawn());
  setMempolicy(mm, { mode: "interleave", nodes: nodes(0, 2) });
  expect(getMempolicyNode(mm)).toBe(0);
  const taken = Array.from({ length: 5 }, () =>
    vm.memmap.nodeOf(tryAllocWithPolicy(vm, undefined, mm, 0, GFP_KERNEL, 0)),
  );
  expect(taken).toEqual([0, 2, 0, 2, 0]);
  expect(getMempolicyNode(mm)).toBe(2);
  const counted = memory.nodes.map((node) =>
    node?.zones.reduce((sum, zone) => sum + (zone.numaStat[NumaStat.numa_interleave] ?? 0), 0),
  );
  expect(counted).toEqual([3, 0, 2]);
});

test("requests for a zone below the policy zone are not bound", () => {
  const { spawn, vm, memory } = vmMachine();
  const mm = mmOf(spawn());
  setMempolicy(mm, { mode: "bind", nodes: nodes(1) });
  memory.counters.policyZone = 2;
  const page = tryAllocWithPolicy(vm, undefined, mm, 0, GFP_KERNEL | Gfp.DMA32, 0);
  expect(vm.memmap.nodeOf(page)).toBe(0);
});

test("nodes without memory drop out of a policy, and a policy without any is EINVAL", () => {
  const { memory } = vmMachine({ nodes: [32 * MiB, 0, 32 * MiB] });
  expect(mpolToString(mpolNew(memory, { mode: "bind", nodes: nodes(0, 1, 2) }))).toBe("bind:0,2");
  expect(() => mpolNew(memory, { mode: "bind", nodes: nodes(1) })).toThrow(/EINVAL.*1 has memory: 0,2/);
});

test("relative nodes are counted among those with memory", () => {
  const { memory } = vmMachine({ nodes: [32 * MiB, 0, 32 * MiB] });
  const policy = mpolNew(memory, { mode: "interleave", flags: MpolFlag.RELATIVE_NODES, nodes: nodes(1) });
  expect(mpolToString(policy)).toBe("interleave=relative:2");
});

test("what doesn't fit together is EINVAL", () => {
  const both = MpolFlag.STATIC_NODES | MpolFlag.RELATIVE_NODES;
  expect(outcomeOfRequest({ mode: "default", nodes: nodes(0) })).toBe("EINVAL");
  expect(outcomeOfRequest({ mode: "local", nodes: nodes(0) })).toBe("EINVAL");
  expect(outcomeOfRequest({ mode: "local", flags: MpolFlag.STATIC_NODES })).toBe("EINVAL");
  expect(outcomeOfRequest({ mode: "bind", nodes: [] })).toBe("EINVAL");
  expect(outcomeOfRequest({ mode: "bind", flags: both, nodes: nodes(0) })).toBe("EINVAL");
  expect(outcomeOfRequest({ mode: "interleave", flags: MpolFlag.NUMA_BALANCING, nodes: nodes(0) })).toBe(
    "EINVAL",
  );
  expect(outcomeOfRequest({ mode: "preferred", flags: MpolFlag.STATIC_NODES })).toBe("EINVAL");
  expect(outcomeOfRequest({ mode: "bind", nodes: nodes(2000) })).toBe("EINVAL");
  expect(outcomeOfRequest({ mode: "bind", flags: 1, nodes: nodes(0) })).toBe("EINVAL");
});

test("a policy that was refused leaves the old one in force", () => {
  const mm = mmOf(vmMachine().spawn());
  setMempolicy(mm, { mode: "bind", nodes: nodes(1) });
  expect(() => setMempolicy(mm, { mode: "bind" })).toThrow(KernelError);
  expect(mpolToString(mm.policy)).toBe("bind:1");
});

test("numa_maps prints each policy by its name, flags and nodes", () => {
  const { memory } = vmMachine();
  const text = (request: MempolicyRequest): string => mpolToString(mpolNew(memory, request));
  expect(text({ mode: "default" })).toBe("default");
  expect(text({ mode: "local" })).toBe("local");
  expect(text({ mode: "preferred" })).toBe("local");
  expect(text({ mode: "preferred", nodes: nodes(1) })).toBe("prefer:1");
  expect(text({ mode: "preferred_many", nodes: nodes(0, 1) })).toBe("prefer (many):0-1");
  expect(text({ mode: "interleave", flags: MpolFlag.STATIC_NODES, nodes: nodes(0, 1) })).toBe(
    "interleave=static:0-1",
  );
  const balanced = MpolFlag.STATIC_NODES | MpolFlag.NUMA_BALANCING;
  expect(text({ mode: "bind", flags: balanced, nodes: nodes(0) })).toBe("bind=static|balancing:0");
});

test("policies are equal by what they say", () => {
  const { memory } = vmMachine();
  const bind = (flags: number, ...ids: number[]) =>
    mpolNew(memory, { mode: "bind", flags, nodes: nodes(...ids) });
  expect(mpolEqual(bind(0, 0, 1), bind(0, 1, 0))).toBe(true);
  expect(mpolEqual(bind(0, 0), bind(0, 1))).toBe(false);
  expect(mpolEqual(undefined, undefined)).toBe(true);
  expect(mpolEqual(bind(0, 0), undefined)).toBe(false);
  // Node 5 has no memory, but was asked for: that counts where it is remembered.
  expect(mpolEqual(bind(0, 0, 5), bind(0, 0))).toBe(true);
  expect(mpolEqual(bind(MpolFlag.STATIC_NODES, 0, 5), bind(MpolFlag.STATIC_NODES, 0))).toBe(false);
});

test("get_mempolicy tells the process's policy, the mapping's, and nodes as they were asked for", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  const start = map(process, 1);
  setMempolicy(mm, { mode: "bind", flags: MpolFlag.STATIC_NODES, nodes: nodes(1, 5) });
  expect(getMempolicy(mm)).toEqual({ mode: "bind", flags: MpolFlag.STATIC_NODES, nodes: nodes(1, 5) });
  expect(run(getMempolicyAt(mm, start))).toEqual({ mode: "default", flags: 0, nodes: [] });
  expect(outcomeOf(() => getMempolicyAt(mm, virtAddr(0x1000)))).toBe("EFAULT");
});

test("get_mempolicy with an address brings the page in and tells its node", () => {
  const process = vmMachine().spawn("reader", 0);
  const mm = mmOf(process);
  setMempolicy(mm, { mode: "bind", nodes: nodes(1) });
  const start = map(process, 2);
  fill(process, start, 1);
  expect(run(getMempolicyNodeAt(mm, start))).toBe(1);
  expect(outcomeOf(() => getMempolicyNodeAt(mm, virtAddr(0x1000)))).toBe("EFAULT");
});

test("only a process that interleaves has a next node: EINVAL otherwise", () => {
  const mm = mmOf(vmMachine().spawn());
  expect(() => getMempolicyNode(mm)).toThrow(/EINVAL/);
  expect(memsAllowed(mm)).toEqual([0, 1]);
});
