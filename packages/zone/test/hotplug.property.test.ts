// Any sequence of adding, onlining, offlining, removing, allocating and freeing keeps the invariants, and whatever fails
// leaves everything as it was.
import { assertInvariants, GiB, KernelError, MiB, nodeId, type Page } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import * as fc from "fast-check";
import { test } from "vitest";
import { Gfp, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, memoryInvariants } from "../src/index.ts";
import { hotplugMachine, type HotplugMachine } from "@hetmem/test-machines/hotplug-machine";

const BLOCK = 128 * MiB;
/** HETMEM_RUNS says how many sequences; the slow suite asks for thousands. */
const RUNS = Number(process.env["HETMEM_RUNS"] ?? 80);
const SLOW = 3_600_000;
const FIRST_BLOCK = (4 * GiB) / BLOCK;

const block = fc.integer({ min: 0, max: 3 }).map((i) => FIRST_BLOCK + i);
const node = fc.integer({ min: 0, max: 1 }).map(nodeId);
const step = fc.oneof(
  fc.record({ do: fc.constant("add" as const), block, node }),
  fc.record({ do: fc.constant("remove" as const), block }),
  fc.record({
    do: fc.constant("online" as const),
    block,
    type: fc.constantFrom("online", "online_kernel", "online_movable"),
  }),
  fc.record({ do: fc.constant("offline" as const), block }),
  fc.record({
    do: fc.constant("alloc" as const),
    gfp: fc.constantFrom(GFP_KERNEL, GFP_HIGHUSER_MOVABLE, GFP_KERNEL | Gfp.THISNODE),
    order: fc.integer({ min: 0, max: 10 }),
    node,
  }),
  fc.record({ do: fc.constant("free" as const), which: fc.nat(100) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Blocks that are there and mostly online when the sequence begins: from nothing, few sequences get to two in one zone. */
const sequence = (constraints: fc.ArrayConstraints): fc.Arbitrary<Step[]> =>
  fc
    .tuple(
      fc.array(
        fc.record({
          block,
          node: fc.constantFrom(nodeId(0), nodeId(0), nodeId(1)),
          type: fc.constantFrom("online", "online_kernel", "online_movable", undefined),
        }),
        { maxLength: 4 },
      ),
      fc.array(step, constraints),
    )
    .map(([blocks, steps]) => [
      ...blocks.map((added): Step => ({ do: "add", block: added.block, node: added.node })),
      ...blocks.flatMap(({ type, ...added }): Step[] =>
        type ? [{ do: "online", block: added.block, type }] : [],
      ),
      ...steps,
    ]);

/** Where the struct pages of added blocks go, too, is any. */
const machineOf = (memmapOnMemory: boolean): HotplugMachine =>
  hotplugMachine({ memory: [[0, 256 * MiB]], memmapOnMemory });

type Held = (readonly [page: Page, order: number])[];

function apply(machine: HotplugMachine, held: Held, what: Step): void {
  switch (what.do) {
    case "add":
      return machine.add(what.block * BLOCK, { node: what.node });
    case "remove":
      return machine.remove(what.block * BLOCK);
    case "online":
      return void machine.online(what.block, what.type);
    case "offline":
      return void machine.offline(what.block);
    case "alloc": {
      const page = machine.memory.allocator.allocPages(what.gfp, what.order, what.node);
      if (page !== NULL_PAGE) held.push([page, what.order]);
      return;
    }
    case "free":
      for (const [page, order] of held.splice(what.which % (held.length + 1), 1))
        machine.memory.allocator.freePages(page, order);
  }
}

test("any sequence keeps the invariants, and what fails changes nothing", { timeout: SLOW }, () => {
  fc.assert(
    fc.property(fc.boolean(), sequence({ minLength: 5, maxLength: 25 }), (memmapOnMemory, steps) => {
      const machine = machineOf(memmapOnMemory);
      const held: Held = [];
      for (const what of steps) {
        const before = JSON.stringify(machine.fingerprint());
        try {
          apply(machine, held, what);
        } catch (error) {
          if (!(error instanceof KernelError)) throw error;
          if (JSON.stringify(machine.fingerprint()) !== before) {
            throw new Error(`${what.do} failed with ${error.errno} and left traces`, { cause: error });
          }
        }
        assertInvariants(machine.memory, memoryInvariants);
      }
    }),
    { numRuns: RUNS },
  );
});

test(
  "after everything is given back and removed, the machine is as it was but for its watermarks",
  { timeout: SLOW },
  () => {
    fc.assert(
      fc.property(fc.boolean(), sequence({ maxLength: 20 }), (memmapOnMemory, steps) => {
        const machine = machineOf(memmapOnMemory);
        const before = withoutWatermarks(machine);
        const held: Held = [];
        const attempt = (what: Step): void => {
          try {
            apply(machine, held, what);
          } catch (error) {
            if (!(error instanceof KernelError)) throw error;
          }
        };
        for (const what of steps) attempt(what);
        while (held.length > 0) attempt({ do: "free", which: 0 });
        // A block that holds the struct pages of another can't go before that one has gone.
        for (let round = 0; round < 4; round++) {
          for (let id = FIRST_BLOCK; id < FIRST_BLOCK + 4; id++) {
            attempt({ do: "offline", block: id });
            attempt({ do: "remove", block: id });
          }
        }
        if (withoutWatermarks(machine) !== before) throw new Error("something was left behind");
      }),
      { numRuns: RUNS },
    );
  },
);

/** Watermarks follow from the pages above the watermarks before them, so that they don't quite come back. */
function withoutWatermarks(machine: HotplugMachine): string {
  return JSON.stringify(machine.fingerprint(), (key, value: unknown) =>
    /^(min|low|high)$/.test(key) ? undefined : value,
  );
}
