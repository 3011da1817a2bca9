// The memory that the struct pages of boot memory take.
import { GiB, MiB, nodeId, physAddr } from "@hetmem/kernel";
import {
  type Arbitrary,
  array,
  assert,
  boolean,
  constant,
  integer,
  oneof,
  property,
  record,
  tuple,
} from "fast-check";
import { expect, test } from "vitest";
import { type BootNode, bootStructPages, bootZoneSizes, type MovableOptions } from "../src/index.ts";

/** A frame in 64 holds struct pages. */
const SHARE = 64;

/** Nodes one behind the other from address 0, each of so many bytes; a negative size is memory that may be taken away. */
function nodesOf(...sizes: readonly number[]): BootNode[] {
  let end = 0;
  return sizes.map((size, id) => {
    const start = end;
    end += Math.abs(size);
    const range = { start: physAddr(start), end: physAddr(end) };
    return {
      id: nodeId(id),
      cpus: [id],
      memory: [size < 0 ? { ...range, hotpluggable: true } : range],
    };
  });
}

/** `node/zone frames` for what each node's struct pages take. */
function paid(sizes: readonly number[], options: MovableOptions = {}): string[] {
  return bootStructPages(nodesOf(...sizes), options).map(
    ({ of, node, zone, frames }) => `${of}: ${node}/${zone} ${frames}`,
  );
}

test("a node keeps the struct pages of its memory in its highest frames", () => {
  expect(paid([8 * GiB, 4 * GiB])).toEqual(["0: 0/Normal 16320", "0: 0/Normal 16384", "1: 1/Normal 16384"]);
  expect(paid([2 * GiB])).toEqual(["0: 0/DMA32 8128"]);
});

test("a ZONE_MOVABLE of kernelcore= or movablecore= holds struct pages, for it is the top of the node", () => {
  expect(paid([8 * GiB], { kernelcore: 6 * GiB })).toEqual([
    "0: 0/Movable 16320",
    "0: 0/Movable 8192",
    "0: 0/Movable 8192",
  ]);
  expect(paid([8 * GiB], { movablecore: 64 * MiB })).toEqual([
    "0: 0/Movable 16320",
    "0: 0/Movable 64",
    "0: 0/Normal 16064",
    "0: 0/Normal 256",
  ]);
});

test("with movable_node the struct pages of a hotpluggable node lie in the highest node that the kernel keeps", () => {
  expect(paid([8 * GiB, -4 * GiB, 4 * GiB], { movable_node: true })).toEqual([
    "0: 0/Normal 16320",
    "0: 0/Normal 16384",
    "1: 2/Normal 16384",
    "2: 2/Normal 16384",
  ]);
  expect(paid([8 * GiB, -4 * GiB])).toContain("1: 1/Normal 16384");
});

test("memory that the kernel keeps and that is too small for all struct pages is ENOMEM, which names the node", () => {
  const nodes = nodesOf(8 * GiB, -1024 * GiB);
  expect(() => bootStructPages(nodes, { movable_node: true })).toThrow(
    /^ENOMEM: the struct pages of node 1 /,
  );
});

test("every zone but ZONE_DMA costs a 64th of its memory, whatever is movable, and no zone pays more than it has", () => {
  const size = integer({ min: 1, max: 64 }).map((blocks) => blocks * 128 * MiB);
  const options = oneof<Arbitrary<MovableOptions>[]>(
    constant({}),
    record({ kernelcore: size }),
    record({ movablecore: size }),
    constant({ movable_node: true }),
  );
  assert(
    property(array(tuple(size, boolean()), { minLength: 1, maxLength: 4 }), options, (wishes, given) => {
      const nodes = nodesOf(8 * GiB, ...wishes.map(([bytes, away]) => (away ? -bytes : bytes)));
      const zones = bootZoneSizes(nodes, given).filter(({ zone }) => zone !== "DMA");
      const charges = bootStructPages(nodes, given);
      const sum = (list: readonly { readonly frames: number }[]) =>
        list.reduce((frames, charge) => frames + charge.frames, 0);
      expect(sum(charges)).toBe(
        zones.reduce((frames, { presentPages }) => frames + Math.ceil(presentPages / SHARE), 0),
      );
      for (const { node, zone, presentPages } of zones) {
        const own = sum(charges.filter((charge) => charge.node === node && charge.zone === zone));
        expect(own).toBeLessThanOrEqual(given.movable_node && zone === "Movable" ? 0 : presentPages);
      }
    }),
    { numRuns: Number(process.env["HETMEM_RUNS"] ?? 200) },
  );
});
