// The types of ports whose implementations no kit tries: what an implementation may leave out or get wrong is an error that names
// the port. Each line that must not compile says so to the type checker, which fails when the line compiles.
import { type NodeId, nodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { expect, expectTypeOf, test } from "vitest";
import {
  type Demotion,
  noDemotion,
  noOomChoice,
  noPromotion,
  noSwap,
  type Promotion,
  type Swap,
} from "../src/ports/index.ts";
import type { Vm, VmParts } from "../src/vm.ts";

test("each part is made by a function of the Vm", () => {
  expectTypeOf<Required<VmParts>["swap"]>().toEqualTypeOf<(vm: Vm) => Swap>();
  expectTypeOf<Required<VmParts>["demotion"]>().toEqualTypeOf<(vm: Vm) => Demotion>();
  expectTypeOf<Required<VmParts>["promotion"]>().toEqualTypeOf<(vm: Vm) => Promotion>();
});

test("a swap has slots, counts and areas", () => {
  const full: Swap = { ...noSwap, full: true };
  expect(full.areas).toEqual([]);
  // @ts-expect-error A slot is a number.
  const named: Swap = { ...noSwap, allocSlot: () => "slot 1" };
  // @ts-expect-error Writing may sleep.
  const atOnce: Swap = { ...noSwap, writePage: () => {} };
  // @ts-expect-error An area has a priority.
  const unordered: Swap = { ...noSwap, areas: [{ path: "/dev/sda", kind: "file", pages: 1, used: 0 }] };
  expect([named, atOnce, unordered]).toHaveLength(3);
});

test("a demotion answers at once whether it may, and sleeps while it migrates", () => {
  expectTypeOf(noDemotion.demotePages).returns.toEqualTypeOf<Sleeps<readonly Page[]>>();
  expectTypeOf(noDemotion.canDemote).parameters.toEqualTypeOf<[node: NodeId]>();
  // @ts-expect-error It gives back the pages that stayed.
  const silent: Demotion = { ...noDemotion, *demotePages() {} };
  // @ts-expect-error To ask is atomic.
  const slow: Demotion = { ...noDemotion, *canDemote() {} };
  expect([silent, slow]).toHaveLength(2);
});

test("a promotion names a node, or none", () => {
  const toNode: Promotion = { ...noPromotion, misplaced: () => nodeId(1) };
  expectTypeOf(toNode.misplaced).returns.toEqualTypeOf<NodeId | undefined>();
  // @ts-expect-error Yes and no are no node.
  const yes: Promotion = { ...noPromotion, misplaced: () => true };
  // @ts-expect-error A page that is to move must be moved by something.
  const halfway: Promotion = { misplaced: () => undefined };
  expect([yes, halfway]).toHaveLength(2);
});

test("a machine without an OOM choice has one that names no process", () => {
  const control = { candidates: () => [] } as unknown as Parameters<typeof noOomChoice.selectBadProcess>[0];
  expect(noOomChoice.selectBadProcess(control)).toBeUndefined();
});
