import { assertInvariants, MiB, nodeId, Scheduler, seededChoice, type Sleeps } from "@hetmem/kernel";
import { exitProcess, type Process, vmInvariants, writeUser } from "@hetmem/mm";
import { type ShortMachine, shortMachine } from "@hetmem/test-machines/short-machine";
import { pageAt } from "@hetmem/test-machines/vm-machine";
import { GFP_HIGHUSER_MOVABLE, NodeStat, ZoneType } from "@hetmem/zone";
import { expect, test } from "vitest";
import { isKswapdWanted } from "../src/kswapd.ts";
import { isBalanced } from "../src/node-watermarks.ts";
import { reclaimOf } from "../src/reclaim.ts";
import { swapSpace } from "../src/swap/swap-space.ts";

const NODE = nodeId(0);

/** Fills memory down to the low mark of every zone, and no further. */
function fillToLow(machine: ShortMachine): Process {
  const process = machine.spawn("hog");
  const start = machine.map(process, 5000);
  for (let i = 0; i < 5000 && !isKswapdWanted(reclaimOf(machine.vm), NODE); i++)
    machine.fill(process, pageAt(start, i), 1);
  return process;
}

function balanced({ memory }: ShortMachine): boolean {
  const node = memory.nodes[0];
  return node !== undefined && isBalanced(node, 0, ZoneType.Movable);
}

test("kswapd is wanted when no zone is above its low mark, and not before", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  expect(isKswapdWanted(reclaimOf(machine.vm), NODE)).toBe(false);
  fillToLow(machine);
  expect(isKswapdWanted(reclaimOf(machine.vm), NODE)).toBe(true);
  expect(machine.event("allocstall_movable")).toBe(0);
});

test("kswapd frees pages until a zone is above its high mark, so that nobody has to wait", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  fillToLow(machine);
  machine.run(machine.vm.reclaim.runKswapd());
  expect(balanced(machine)).toBe(true);
  expect(isKswapdWanted(reclaimOf(machine.vm), NODE)).toBe(false);
  expect(machine.event("pageoutrun")).toBeGreaterThan(0);
  expect(machine.event("pgsteal_kswapd")).toBeGreaterThan(0);
  expect(machine.event("pgsteal_direct")).toBe(0);
});

test("kswapd does nothing on a machine that has memory", () => {
  const machine = shortMachine({ swap: 16 * MiB });
  machine.run(machine.vm.reclaim.runKswapd());
  expect(machine.event("pageoutrun")).toBe(0);
});

test("a node that nothing can be freed of is left alone after 16 rounds, until reclaim succeeds there", () => {
  const machine = shortMachine();
  const { vm, run } = machine;
  const process = fillToLow(machine);
  for (let i = 0; i < 3; i++) run(vm.reclaim.runKswapd());
  expect(machine.event("pageoutrun")).toBe(16);
  expect(isKswapdWanted(reclaimOf(vm), NODE)).toBe(false);
  swapSpace(vm).swapon({ path: "/dev/sdb1", size: 16 * MiB });
  run(vm.reclaim.allocSlowly(GFP_HIGHUSER_MOVABLE, 0, NODE, process.mm));
  machine.fill(process, machine.map(process, 500), 500);
  expect(reclaimOf(vm).node(NODE).failures).toBe(0);
});

test("with kswapd beside it a process gets all the memory that it writes to, under any schedule", () => {
  for (let seed = 0; seed < 5; seed++) {
    const machine = shortMachine({ swap: 32 * MiB });
    const { vm } = machine;
    const process = machine.spawn("writer");
    const start = machine.map(process, 5000);
    const scheduler = new Scheduler(machine.kernel, seededChoice(seed));
    const writer = scheduler.spawn("writer", writeAll(process, start));
    const daemon = scheduler.spawn("kswapd0", reclaimOf(vm).kswapd(NODE));
    const stopper = scheduler.spawn(
      "stopper",
      stopAfter(machine, () => writer.state.kind !== "running"),
    );
    scheduler.runAll();
    for (const task of [writer, daemon, stopper]) expect(task.result).toBeUndefined();
    expect(machine.event("pgsteal_kswapd")).toBeGreaterThan(0);
    assertInvariants(vm, vmInvariants);
    expect(machine.damaged(process, start, 5000)).toEqual([]);
    machine.run(exitProcess(process));
    expect([vm.swap.freePages, machine.stat(NodeStat.nr_swapcached)]).toEqual([vm.swap.totalPages, 0]);
  }
});

function* writeAll(process: Process, start: Parameters<typeof pageAt>[0]): Sleeps<void> {
  for (let i = 0; i < 5000; i++) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setUint32(0, i + 1);
    new DataView(bytes.buffer).setUint32(4, 1);
    yield* writeUser(process, pageAt(start, i), bytes);
    yield { why: "cond_resched", ready: () => true };
  }
}

function* stopAfter({ vm }: ShortMachine, ended: () => boolean): Sleeps<void> {
  yield { why: "the writer to end", ready: ended };
  reclaimOf(vm).stopKswapd(NODE);
}
