// mbind(): policies of ranges, the mappings that they divide and join, and pages that are to move.
import { MiB, nodeId, run, virtAddr } from "@hetmem/kernel";
import { forkProcess, type Process } from "@hetmem/mm";
import { mpolToString } from "@hetmem/mm/policy";
import { PageFlag } from "@hetmem/page";
import { check, fill, map, nodesOf, outcomeOf, pageBehind } from "@hetmem/test-machines/placed-memory";
import { mmOf, pageAt, vmMachine } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { mbind, setMempolicyHomeNode } from "../src/mbind.ts";
import { MbindFlag } from "../src/queue-pages.ts";

const PAGE = 4096;
const bindTo = (...ids: number[]) => ({ mode: "bind" as const, nodes: ids.map(nodeId) });
const { STRICT, MOVE, MOVE_ALL } = MbindFlag;

/** The process's mappings, as page numbers from `start` on with their policies. */
function policies(process: Process, start: number): string[] {
  return [...mmOf(process).vmas].map(
    (vma) => `${(vma.start - start) / PAGE}-${(vma.end - start) / PAGE} ${mpolToString(vma.policy)}`,
  );
}

test("a policy for the middle of a mapping divides it in three, and the default joins them again", () => {
  const process = vmMachine().spawn();
  const start = map(process, 8);
  run(mbind(mmOf(process), pageAt(start, 2), 3 * PAGE, bindTo(1), 0));
  expect(policies(process, start)).toEqual(["0-2 default", "2-5 bind:1", "5-8 default"]);
  run(mbind(mmOf(process), start, 8 * PAGE, { mode: "default" }, 0));
  expect(policies(process, start)).toEqual(["0-8 default"]);
});

test("neighbours with the same policy are one mapping", () => {
  const process = vmMachine().spawn();
  const start = map(process, 8);
  run(mbind(mmOf(process), start, 2 * PAGE, bindTo(1), 0));
  run(mbind(mmOf(process), pageAt(start, 2), 2 * PAGE, bindTo(1), 0));
  expect(policies(process, start)).toEqual(["0-4 bind:1", "4-8 default"]);
});

test("pages that come later come from the policy's nodes", () => {
  const process = vmMachine().spawn("bound", 0);
  const start = map(process, 4);
  run(mbind(mmOf(process), pageAt(start, 1), 2 * PAGE, bindTo(1), 0));
  fill(process, start, 4);
  expect(nodesOf(process, start, 4)).toEqual([0, 1, 1, 0]);
});

test("pages that are there stay where they are, unless they are to move", () => {
  const process = vmMachine().spawn();
  const start = map(process, 4);
  fill(process, start, 4);
  run(mbind(mmOf(process), start, 4 * PAGE, bindTo(1), 0));
  expect(nodesOf(process, start, 4)).toEqual([0, 0, 0, 0]);
  run(mbind(mmOf(process), start, 4 * PAGE, bindTo(1), MOVE | STRICT));
  expect(nodesOf(process, start, 4)).toEqual([1, 1, 1, 1]);
  check(process, start, 4);
});

test("pages that move under an interleaving policy go each to its own node", () => {
  const process = vmMachine({ nodes: [32 * MiB, 32 * MiB, 32 * MiB] }).spawn();
  const start = map(process, 4);
  fill(process, start, 4);
  const interleave = { mode: "interleave" as const, nodes: [1, 2].map(nodeId) };
  run(mbind(mmOf(process), start, 4 * PAGE, interleave, MOVE));
  const [first = 0] = nodesOf(process, start, 1);
  expect(nodesOf(process, start, 4)).toEqual([first, 3 - first, first, 3 - first]);
  check(process, start, 4);
});

test("STRICT alone refuses a range with a page elsewhere: EIO, and no policy is set", () => {
  const process = vmMachine().spawn();
  const start = map(process, 4);
  fill(process, pageAt(start, 3), 1);
  expect(outcomeOf(() => mbind(mmOf(process), start, 4 * PAGE, bindTo(1), STRICT))).toBe("EIO");
  expect(policies(process, start)).toEqual(["0-4 default"]);
});

test("the default policy has no wrong place for a page: STRICT says nothing then", () => {
  const process = vmMachine().spawn();
  const start = map(process, 4);
  fill(process, start, 4);
  expect(outcomeOf(() => mbind(mmOf(process), start, 4 * PAGE, { mode: "default" }, STRICT))).toBe("done");
});

test("MOVE leaves pages that others map, MOVE_ALL takes them along", () => {
  const process = vmMachine().spawn();
  const start = map(process, 2);
  fill(process, start, 2);
  const child = run(forkProcess(process));
  run(mbind(mmOf(process), start, 2 * PAGE, bindTo(1), MOVE | STRICT));
  expect(nodesOf(process, start, 2)).toEqual([0, 0]);
  run(mbind(mmOf(process), start, 2 * PAGE, { mode: "preferred", nodes: [nodeId(1)] }, MOVE_ALL));
  expect(nodesOf(process, start, 2)).toEqual([1, 1]);
  expect(nodesOf(child, start, 2)).toEqual([1, 1]);
  check(child, start, 2, process);
});

test("a pinned page doesn't move: EIO with STRICT, though the policy is set and the others have moved", () => {
  const { spawn, vm } = vmMachine();
  const process = spawn();
  const start = map(process, 3);
  fill(process, start, 3);
  vm.memmap.getPage(pageBehind(process, pageAt(start, 1)));
  expect(outcomeOf(() => mbind(mmOf(process), start, 3 * PAGE, bindTo(1), MOVE | STRICT))).toBe("EIO");
  expect(nodesOf(process, start, 3)).toEqual([1, 0, 1]);
  expect(policies(process, start)).toEqual(["0-3 bind:1"]);
  check(process, start, 3);
});

test("a page that is off its LRU list can't be taken: EIO with MOVE and STRICT", () => {
  const { spawn, vm } = vmMachine();
  const process = spawn();
  const start = map(process, 2);
  fill(process, start, 2);
  vm.lru.isolate(pageBehind(process, start));
  expect(outcomeOf(() => mbind(mmOf(process), start, 2 * PAGE, bindTo(1), MOVE | STRICT))).toBe("EIO");
  expect(nodesOf(process, start, 2)).toEqual([0, 1]);
});

test("a hole in the range is EFAULT, at its start, in it, and behind it, and nothing stays isolated", () => {
  const { spawn, vm } = vmMachine();
  const process = spawn();
  const mm = mmOf(process);
  const start = map(process, 4);
  fill(process, start, 4);
  expect(outcomeOf(() => mbind(mm, pageAt(start, -1), 2 * PAGE, bindTo(1), 0))).toBe("EFAULT");
  expect(outcomeOf(() => mbind(mm, start, 5 * PAGE, bindTo(1), MOVE))).toBe("EFAULT");
  expect(outcomeOf(() => mbind(mm, virtAddr(0x1000), PAGE, bindTo(1), 0))).toBe("EFAULT");
  expect(vm.lru.isolate(pageBehind(process, start))).toBe(true);
});

test("pages are back on their lists when there may be no more mappings, and no policy is set", () => {
  const { vm, spawn } = vmMachine({ tunables: { maxMapCount: 1 } });
  const process = spawn();
  const start = map(process, 4);
  fill(process, start, 4);
  const wanted = [pageAt(start, 1), PAGE, bindTo(1), MOVE] as const;
  expect(outcomeOf(() => mbind(mmOf(process), ...wanted))).toBe("ENOMEM");
  expect(policies(process, start)).toEqual(["0-4 default"]);
  expect(vm.memmap.test(pageBehind(process, pageAt(start, 1)), PageFlag.lru)).toBe(true);
  check(process, start, 4);
});

test("the default policy may be set across holes", () => {
  const process = vmMachine().spawn();
  const start = map(process, 4);
  run(mbind(mmOf(process), start, 4 * PAGE, bindTo(1), 0));
  expect(outcomeOf(() => mbind(mmOf(process), pageAt(start, -1), 6 * PAGE, { mode: "default" }, 0))).toBe(
    "done",
  );
  expect(policies(process, start)).toEqual(["0-4 default"]);
});

test("arguments that are no range or no flags are EINVAL, and an empty range is nothing to do", () => {
  const process = vmMachine().spawn();
  const mm = mmOf(process);
  const start = map(process, 1);
  expect(outcomeOf(() => mbind(mm, virtAddr(start + 1), PAGE, bindTo(1), 0))).toBe("EINVAL");
  expect(outcomeOf(() => mbind(mm, start, PAGE, bindTo(1), 1 << 7))).toBe("EINVAL");
  expect(outcomeOf(() => mbind(mm, start, PAGE, { mode: "bind" }, 0))).toBe("EINVAL");
  expect(outcomeOf(() => mbind(mm, start, 0, bindTo(1), 0))).toBe("done");
});

test("the home node is where allocations of a bound mapping begin", () => {
  const process = vmMachine({ nodes: [32 * MiB, 32 * MiB, 32 * MiB] }).spawn("home", 0);
  const mm = mmOf(process);
  const start = map(process, 2);
  expect(outcomeOf(() => setMempolicyHomeNode(mm, start, PAGE, nodeId(2)))).toBe("ENOENT");
  run(mbind(mm, start, PAGE, bindTo(1, 2), 0));
  run(setMempolicyHomeNode(mm, start, 2 * PAGE, nodeId(2)));
  fill(process, start, 1);
  expect(nodesOf(process, start, 1)).toEqual([2]);
  run(mbind(mm, pageAt(start, 1), PAGE, { mode: "local" }, 0));
  expect(outcomeOf(() => setMempolicyHomeNode(mm, pageAt(start, 1), PAGE, nodeId(2)))).toBe("EOPNOTSUPP");
  expect(outcomeOf(() => setMempolicyHomeNode(mm, start, PAGE, nodeId(7)))).toBe("EINVAL");
});
