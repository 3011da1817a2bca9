// After a power failure the media hold all that was flushed far enough, and nothing else.
import { MiB, run } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  loadBytes,
  MediaPages,
  nvdimmFlush,
  type PersistenceDomain,
  storeCached,
  writebackCache,
} from "../src/index.ts";
import { claimNamespace } from "./claim-namespace.ts";
import {
  machine,
  type MachineOptions,
  type NvdimmMachine,
  START,
} from "@hetmem/test-machines/nvdimm-machine";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 200);
const DATA = START + 512 * MiB;
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

function readBack({ region }: NvdimmMachine, address: number): number {
  const into = new Uint8Array(1);
  loadBytes(region, address, into);
  return into[0] ?? -1;
}

/** Three stores: one left in the caches, one flushed to the write queue, one drained to the media. */
function threeStores(options: MachineOptions): number[] {
  const made = machine(options);
  storeCached(made.region, DATA, bytes(1));
  writebackCache(made.region, DATA, 1);
  nvdimmFlush(made.region);
  storeCached(made.region, DATA + 64, bytes(2));
  writebackCache(made.region, DATA + 64, 1);
  storeCached(made.region, DATA + 128, bytes(3));
  expect([0, 64, 128].map((at) => readBack(made, DATA + at))).toEqual([1, 2, 3]);
  made.failPower();
  return [0, 64, 128].map((at) => readBack(made, DATA + at));
}

describe("after a power failure", () => {
  test("without reserve energy only what was drained through flush hints is there", () => {
    expect(threeStores({ flushHints: 1 })).toEqual([1, 0, 0]);
  });
  test("a platform that flushes its write queue (ADR) keeps what left the caches", () => {
    expect(threeStores({ flushHints: 1, persistenceDomain: "memory_controller" })).toEqual([1, 2, 0]);
  });
  test("a platform without flush hints is taken to flush its write queue", () => {
    expect(threeStores({})).toEqual([1, 2, 0]);
  });
  test("a platform that flushes its caches (eADR) keeps everything", () => {
    expect(threeStores({ persistenceDomain: "cpu_cache" })).toEqual([1, 2, 3]);
  });
  test("an unflushed line is lost even where the line beside it in the same page was flushed", () => {
    const made = machine({ flushHints: 1 });
    storeCached(made.region, DATA, new Uint8Array(128).fill(7));
    writebackCache(made.region, DATA, 64);
    nvdimmFlush(made.region);
    made.failPower();
    expect([0, 63, 64, 127].map((at) => readBack(made, DATA + at))).toEqual([7, 7, 0, 0]);
  });
  test("a line that was flushed twice is as it was the second time, even where that is what the media had before", () => {
    const made = machine({ flushHints: 1 });
    for (const value of [1, 0]) {
      storeCached(made.region, DATA, bytes(value));
      writebackCache(made.region, DATA, 1);
    }
    nvdimmFlush(made.region);
    made.failPower();
    expect(readBack(made, DATA)).toBe(0);
  });
  test("the module counts a dirty shutdown when something was lost, and none after an orderly one", () => {
    const made = machine({ flushHints: 1 });
    storeCached(made.region, DATA, bytes(1));
    made.reboot();
    expect(readBack(made, DATA)).toBe(1);
    expect(made.media[0]?.dirtyShutdowns).toBe(0);
    storeCached(made.region, DATA, bytes(2));
    made.failPower();
    expect(made.media[0]?.dirtyShutdowns).toBe(1);
  });
});

describe("a page that is mapped", () => {
  const mapped = ({ memory: [media] }: NvdimmMachine, address: number): Uint8Array =>
    media?.bytes(address) ?? new Uint8Array();

  test("has one byte for all: who loads from the namespace sees what was stored to it, and the other way round", () => {
    const made = machine({ ways: 2 });
    const [even, odd] = [mapped(made, DATA), mapped(made, DATA + 4096)];
    even[7] = 1;
    odd[7] = 2;
    expect([readBack(made, DATA + 7), readBack(made, DATA + 4096 + 7)]).toEqual([1, 2]);
    storeCached(made.region, DATA + 8, bytes(3));
    expect(even[8]).toBe(3);
  });
  test("keeps of what was stored what was written back, where the platform saves no more", () => {
    const made = machine({});
    mapped(made, DATA).fill(9);
    made.memory[0]?.writeback(DATA + 100, 1);
    made.failPower();
    expect([63, 64, 127, 128].map((at) => readBack(made, DATA + at))).toEqual([0, 9, 9, 0]);
    expect(made.media[0]?.dirtyShutdowns).toBe(1);
  });
  test("is lost to who had it mapped when the power fails: he can't write to it behind its back", () => {
    const made = machine({});
    const before = mapped(made, DATA);
    made.failPower();
    before[0] = 1;
    expect(readBack(made, DATA)).toBe(0);
  });
  test("is zeros where bad cells were cleared", () => {
    const made = machine({});
    const page = mapped(made, DATA).fill(9);
    made.media[0]?.damage(DATA - START, 1);
    made.media[0]?.repair(DATA - START, 256);
    expect([page[0], page[255], page[256]]).toEqual([0, 0, 9]);
  });
  test("is a whole one; another address is a bug", () => {
    const made = machine({});
    expect(() => mapped(made, DATA + 1)).toThrow(/is no page of region0/);
  });
});

test("what a disk was told to write is lost without a flush, and kept with one", () => {
  for (const flushes of [false, true]) {
    const made = machine({ flushHints: 1 });
    const { disk } = made.namespace("namespace0.0");
    run(disk?.write(8, new Uint8Array(4096).fill(9)) ?? none());
    if (flushes) disk?.flush();
    made.failPower();
    const into = new Uint8Array(4096);
    run(made.namespace("namespace0.0").disk?.read(8, into) ?? none());
    expect(into[5]).toBe(flushes ? 9 : 0);
  }
});

test("bytes of an interleaved region lie page by page on its modules", () => {
  const made = machine({ ways: 2 });
  expect(
    [...made.region.extents(START + 2048, 8192)].map(({ media, dpa, size }) => [
      made.media.indexOf(media),
      dpa,
      size,
    ]),
  ).toEqual([
    [0, 2048, 2048],
    [1, 0, 4096],
    [0, 4096, 2048],
  ]);
});

test("contents of a devdax namespace survive a reboot", () => {
  const made = machine();
  claimNamespace(made.namespace("namespace0.0"), "dax");
  const { start } = made.daxRegions[0]?.range ?? { start: 0 };
  storeCached(made.region, start + 5, bytes(42));
  made.reboot();
  expect(made.namespace("namespace0.0").mode).toBe("dax");
  expect(readBack(made, start + 5)).toBe(42);
});

test("pages behave as bytes with a place each, whatever is stored, flushed, drained and lost", () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("store" as const),
      isMapped: fc.boolean(),
      at: fc.nat(400),
      size: fc.integer({ min: 1, max: 150 }),
      value: fc.nat(255),
    }),
    fc.record({
      kind: fc.constant("flush" as const),
      at: fc.nat(400),
      size: fc.integer({ min: 1, max: 150 }),
    }),
    fc.record({ kind: fc.constant("drain" as const) }),
    fc.record({
      kind: fc.constant("fail" as const),
      domain: fc.constantFrom<PersistenceDomain>("none", "memory_controller", "cpu_cache"),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const pages = new MediaPages();
      const base = 4096 - 200; // so that ranges cross into a second page
      const layers = Array.from({ length: 3 }, () => new Map<number, number>());
      const [media, queue, cache] = layers as [Map<number, number>, Map<number, number>, Map<number, number>];
      const newest = (at: number): number => cache.get(at) ?? queue.get(at) ?? media.get(at) ?? 0;
      const lines = (at: number, size: number): number[] => {
        const first = Math.floor((base + at) / 64) * 64 - base;
        const last = Math.ceil((base + at + size) / 64) * 64 - base;
        return Array.from({ length: last - first }, (_none, i) => first + i);
      };
      const pour = (from: Map<number, number>, to: Map<number, number>, at: Iterable<number>): void => {
        for (const one of Array.from(at)) {
          const value = from.get(one);
          if (value !== undefined) to.set(one, value);
          from.delete(one);
        }
      };
      for (const one of steps) {
        if (one.kind === "store") {
          if (!one.isMapped) pages.store(base + one.at, new Uint8Array(one.size).fill(one.value));
          else
            for (let at = base + one.at; at < base + one.at + one.size; at++)
              pages.bytesOf(Math.floor(at / 4096))[at % 4096] = one.value;
          for (const at of lines(one.at, one.size)) cache.set(at, newest(at));
          for (let i = 0; i < one.size; i++) cache.set(one.at + i, one.value);
        } else if (one.kind === "flush") {
          pages.flush(base + one.at, one.size);
          pour(cache, queue, lines(one.at, one.size));
        } else if (one.kind === "drain") {
          pages.drain();
          pour(queue, media, queue.keys());
        } else {
          pages.powerFail(one.domain);
          if (one.domain !== "none") pour(queue, media, queue.keys());
          if (one.domain === "cpu_cache") pour(cache, media, cache.keys());
          queue.clear();
          cache.clear();
        }
        const into = new Uint8Array(600);
        pages.read(base, into);
        expect([...into]).toEqual(Array.from({ length: 600 }, (_none, at) => newest(at)));
      }
    }),
    { numRuns: RUNS },
  );
});

function* none(): Generator<never, void, void> {}
