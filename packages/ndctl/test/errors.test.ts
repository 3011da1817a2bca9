// Bad memory: where it is met, how it becomes known, what a scrub finds, and how it is made good.
import { outcome } from "@hetmem/test-machines/outcome";
import { MiB, physAddr, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { type Namespace, runNfitWork, scrubText, startScrub } from "@hetmem/nvdimm";
import { START } from "@hetmem/test-machines/nvdimm-machine";
import { badRangesOf } from "../src/libndctl/badblocks.ts";
import { labelled, machine, type NdctlMachine } from "./ndctl-machine.ts";

function quiet(options: Parameters<typeof machine>[0] = {}): NdctlMachine {
  const made = machine(options);
  if (made.bus.firmware === "ars") run(made.waitScrub());
  return made;
}

const read = (namespace: Namespace, sector: number): string =>
  outcome(() => run(namespace.disk?.read(sector, new Uint8Array(512)) ?? nothing()));
const write = (namespace: Namespace, sector: number): string =>
  outcome(() => run(namespace.disk?.write(sector, new Uint8Array(512).fill(1)) ?? nothing()));

test("an injected error is known at once: it is in the bad blocks, and reading fails", () => {
  const made = quiet();
  const namespace = made.namespace("namespace0.0");
  run(made.inject(namespace, { block: 12, count: 2 }));
  run(runNfitWork(made.bus));
  expect(namespace.disk?.badblocks.show()).toBe("12 2\n");
  expect(made.region.badblocks.show()).toBe("12 2\n");
  expect([11, 12, 13, 14].map((sector) => read(namespace, sector))).toEqual(["done", "EIO", "EIO", "done"]);
  expect(made.injected(namespace)).toEqual([{ block: 12, count: 2 }]);
  expect(made.listNamespace(namespace, { mediaErrors: true })).toMatchObject({
    badblock_count: 2,
    badblocks: [{ offset: 12, length: 2 }],
  });
});

test("what a scrub found the firmware knows: after a reboot it is known before anybody scrubs again", () => {
  const made = quiet();
  made.media[0]?.damage(12 * 512, 512);
  made.reboot();
  expect(made.region.badblocks.show()).toBe("");
  run(made.waitScrub());
  made.reboot();
  expect(made.region.badblocks.show()).toBe("12 1\n");
});

test("writing to a bad sector clears it, for the namespace, the region and the media", () => {
  const made = quiet();
  const namespace = made.namespace("namespace0.0");
  run(made.inject(namespace, { block: 12 }));
  run(runNfitWork(made.bus));
  expect(write(namespace, 12)).toBe("done");
  expect(read(namespace, 12)).toBe("done");
  expect(made.region.badblocks.show() + (namespace.disk?.badblocks.show() ?? "")).toBe("");
  expect(made.injected(namespace)).toEqual([]);
  expect(made.media[0]?.poison.isEmpty).toBe(true);
});

test("an error injected without a notification is latent: the first read finds it, and then it is known", () => {
  const made = quiet();
  const namespace = made.namespace("namespace0.0");
  run(made.inject(namespace, { block: 20, notify: false }));
  expect(made.region.badblocks.show()).toBe("");
  expect(read(namespace, 20)).toBe("EIO");
  run(runNfitWork(made.bus));
  expect(made.region.badblocks.show()).toBe("20 1\n");
});

test("a read that meets an error starts a scrub of all memory only where that was asked for", () => {
  for (const [asked, found] of [
    [false, "20 1\n"],
    [true, "20 1\n4000 1\n"],
  ] as const) {
    const made = quiet();
    made.bus.work.scrubOnError = asked;
    const namespace = made.namespace("namespace0.0");
    for (const block of [20, 4000]) run(made.inject(namespace, { block, notify: false }));
    read(namespace, 20);
    run(runNfitWork(made.bus));
    expect(made.region.badblocks.show()).toBe(found);
  }
});

test("a scrub on demand finds latent errors, and says so while it runs", () => {
  const made = quiet();
  run(made.inject(made.namespace("namespace0.0"), { block: 77, notify: false }));
  expect(scrubText(made.bus)).toBe("1");
  run(made.startScrub());
  expect(scrubText(made.bus)).toBe("1+");
  expect(outcome(() => run(made.startScrub()))).toBe("EBUSY");
  run(made.waitScrub());
  expect(scrubText(made.bus)).toBe("2");
  expect(made.region.badblocks.show()).toBe("77 1\n");
});

test("a short scrub tells what the firmware knows, and not what is latent", () => {
  const made = quiet();
  const namespace = made.namespace("namespace0.0");
  run(made.inject(namespace, { block: 5, notify: false }));
  run(startScrub(made.bus, "short"));
  run(made.waitScrub());
  expect(made.region.badblocks.show()).toBe("");
});

test("known errors are known again after a reboot, latent ones by the scrub that follows it", () => {
  const made = quiet();
  run(made.inject(made.namespace("namespace0.0"), { block: 5 }));
  run(made.inject(made.namespace("namespace0.0"), { block: 900, notify: false }));
  made.reboot();
  expect(made.region.badblocks.show()).toBe("5 1\n");
  run(made.waitScrub());
  expect(made.region.badblocks.show()).toBe("5 1\n900 1\n");
});

test("uninjecting makes the memory good, and the kernel goes on to think that it is bad", () => {
  const made = quiet();
  const namespace = made.namespace("namespace0.0");
  run(made.inject(namespace, { block: 12 }));
  run(runNfitWork(made.bus));
  run(made.uninject(namespace, { block: 12 }));
  expect(made.injected(namespace)).toEqual([]);
  expect(read(namespace, 12)).toBe("EIO");
  expect(write(namespace, 12)).toBe("done");
  expect(read(namespace, 12)).toBe("done");
});

test("sectors are counted from where data begins, and clear-errors leaves metadata alone", () => {
  const made = quiet();
  const namespace = run(made.reconfigure(made.namespace("namespace0.0"), { mode: "devdax", force: true }));
  const data = made.daxRegions[0]?.range.start ?? 0;
  run(made.inject(namespace, { block: 0 }));
  run(runNfitWork(made.bus));
  expect(made.bus.badrange.ranges).toEqual([{ start: data, end: data + 256 }]);
  made.media[0]?.damage(4096, 1);
  expect(run(made.clearErrors(namespace, { scrub: true }))).toBe(1);
  expect(made.bus.badrange.ranges).toEqual([{ start: START + 4096, end: START + 4096 + 256 }]);
});

test("who has a devdax namespace is told of errors that are new, each once, whoever finds them", () => {
  const made = quiet();
  const namespace = run(made.reconfigure(made.namespace("namespace0.0"), { mode: "devdax", force: true }));
  const { range, poison } = made.daxRegions[0] ?? raise("no dax region");
  run(made.inject(namespace, { block: 0 }));
  run(runNfitWork(made.bus));
  expect(made.failures.splice(0)).toEqual([{ start: range.start, end: range.start + 256 }]);

  run(made.inject(namespace, { block: 8, notify: false }));
  expect(poison.isReadable(physAddr(range.start + 4096), 4096)).toBe(false);
  run(made.startScrub());
  run(made.waitScrub());
  expect(made.failures.splice(0)).toEqual([{ start: range.start + 4096, end: range.start + 4352 }]);

  run(made.inject(namespace, { block: 16, notify: false }));
  poison.machineCheck(physAddr(range.start + 8192), 4096);
  run(runNfitWork(made.bus));
  expect(made.failures.splice(0)).toEqual([{ start: range.start + 8192, end: range.start + 8256 }]);
});

test("errors that were known before are nobody's news when a namespace becomes a dax device", () => {
  const made = quiet();
  run(made.inject(made.namespace("namespace0.0"), { block: (512 * MiB) / 512 }));
  run(runNfitWork(made.bus));
  run(made.reconfigure(made.namespace("namespace0.0"), { mode: "devdax", force: true }));
  run(made.startScrub());
  run(made.waitScrub());
  expect(made.failures).toEqual([]);
});

test("a cache line that a cpu met is cleared with its sector, from all lists", () => {
  const made = quiet();
  run(made.reconfigure(made.namespace("namespace0.0"), { mode: "devdax", force: true }));
  const { range, poison } = made.daxRegions[0] ?? raise("no dax region");
  made.media[0]?.damage(range.start - START + 8192 + 256, 1);
  poison.machineCheck(physAddr(range.start + 8192), 4096);
  run(runNfitWork(made.bus));
  const [known] = poison.badRanges(physAddr(range.start), range.end - range.start);
  expect(known).toEqual({ start: range.start + 8448, end: range.start + 8511 });
  expect(run(poison.clearPoison(physAddr(range.start + 8448), 64))).toBe(true);
  expect(poison.isReadable(physAddr(range.start + 8192), 4096)).toBe(true);
  expect(made.bus.badrange.isEmpty && made.region.badblocks.show()).toBe("");
});

test("firmware that can't scrub or clear says so, and writing to a bad sector fails", () => {
  const made = quiet({ firmware: "labels" });
  const namespace = made.namespace("namespace0.0");
  expect(outcome(() => run(made.startScrub()))).toBe("EOPNOTSUPP");
  expect(outcome(() => run(made.inject(namespace, { block: 1 })))).toBe("EOPNOTSUPP");
  made.media[0]?.damage(512, 256);
  expect(read(namespace, 1)).toBe("EIO");
  run(runNfitWork(made.bus));
  expect(write(namespace, 1)).toBe("EIO");
  expect(outcome(() => run(made.clearErrors(namespace)))).toBe("ENOTTY");
});

test("a namespace whose first bytes can't be wiped is left disabled", () => {
  const made = quiet({ firmware: "labels" });
  const namespace = made.namespace("namespace0.0");
  made.media[0]?.damage(512, 256);
  expect(read(namespace, 1)).toBe("EIO");
  run(runNfitWork(made.bus));
  expect(outcome(() => run(made.destroy(namespace, { force: true })))).toBe("ENXIO");
  expect([namespace.driver, namespace.disk, namespace.forceRaw, made.mapped]).toEqual([
    undefined,
    undefined,
    false,
    [],
  ]);
});

test("errors where struct pages are about to lie are cleared when a namespace is enabled", () => {
  const made = quiet();
  run(made.inject(made.namespace("namespace0.0"), { block: (8 * MiB) / 512 }));
  run(runNfitWork(made.bus));
  run(made.reconfigure(made.namespace("namespace0.0"), { mode: "devdax", force: true, map: "dev" }));
  expect(made.region.badblocks.show()).toBe("");
});

test("an info block that can't be read leaves a namespace raw, and the error known", () => {
  const made = quiet();
  run(made.reconfigure(made.namespace("namespace0.0"), { mode: "devdax", force: true }));
  made.media[0]?.damage(4096, 1);
  made.reboot();
  expect(made.namespace("namespace0.0").mode).toBe("raw");
  run(runNfitWork(made.bus));
  expect(made.region.badblocks.check(8, 1)).toBeDefined();
});

function raise(message: string): never {
  throw new Error(message);
}

function* nothing(): Generator<never, void, void> {}

test("errors are injected up to a namespace's last sector, and none behind it", () => {
  const made = quiet();
  const namespace = made.namespace("namespace0.0");
  const sectors = namespace.size / 512;
  expect(outcome(() => run(made.inject(namespace, { block: sectors - 1, count: 2 })))).toBe("EINVAL");
  run(made.inject(namespace, { block: sectors - 1 }));
  expect(made.injected(namespace)).toEqual([{ block: sectors - 1, count: 1 }]);
});

test("of a run of bad sectors a range has those that lie in it", () => {
  const made = quiet();
  run(made.inject(made.namespace("namespace0.0"), { block: 12, count: 4 }));
  run(runNfitWork(made.bus));
  const { start } = made.region;
  const within = { start: start + 13 * 512, end: start + 15 * 512 };
  const region = made.ndRegion(made.region);
  expect(run(badRangesOf(made.context, region, within))).toEqual([within]);
  expect(run(badRangesOf(made.context, region, { start, end: start + 12 * 512 }))).toEqual([]);
});

test("errors of a namespace in sector mode are left to its driver", () => {
  const made = labelled();
  run(made.waitScrub());
  const namespace = run(made.create({ mode: "sector" }));
  expect(run(made.clearErrors(namespace))).toBe(undefined);
});
