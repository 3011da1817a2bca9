// Commands on namespaces, and their refusals.
import { outcome } from "@hetmem/test-machines/outcome";
import { alignUp, GiB, KiB, MiB, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import {
  bindClaim,
  bttSize,
  maxAvailableExtent,
  type Namespace,
  storeClaimNamespace,
  storeSize,
  storeUuid,
  unbindClaim,
} from "@hetmem/nvdimm";
import { START } from "@hetmem/test-machines/nvdimm-machine";
import type { CreateNamespaceOptions } from "../src/index.ts";
import { labelled, machine, NdctlMachine } from "./ndctl-machine.ts";

const create = (made: NdctlMachine, options: CreateNamespaceOptions): Namespace => run(made.create(options));

/** Everything that is to be as before. */
function stateOf({ bus, mapped, iomemText, media }: NdctlMachine): unknown {
  return {
    mapped: [...mapped],
    iomemText,
    labels: media.map(({ labelArea }) => labelArea.slice(512)),
    namespaces: bus.namespaces().map(({ name, size, uuid, driver, claim, claimClass }) => ({
      name,
      size,
      uuid,
      driver,
      claim: claim?.name,
      claimClass,
    })),
    claims: bus.claims().map(({ name, driver, namespace }) => ({ name, driver, namespace: namespace?.name })),
  };
}

test("--map=dev sets 64 bytes a page aside in the namespace, --map=mem only the info block", () => {
  const made = labelled();
  create(made, { mode: "devdax", size: 512 * MiB, map: "dev" });
  create(made, { mode: "devdax", size: 512 * MiB, map: "mem" });
  const [dev, mem] = made.daxRegions;
  expect(dev?.range).toEqual({ start: START + 10 * MiB, end: START + 512 * MiB });
  expect(dev?.pagemap.altmap).toEqual({
    basePfn: START / 4096,
    reserve: 2,
    free: (10 * MiB - 8 * KiB) / 4096,
  });
  expect(mem?.range).toEqual({ start: START + 514 * MiB, end: START + GiB });
  expect(mem?.pagemap).toEqual({ range: { start: START + 512 * MiB, end: START + GiB }, altmap: undefined });
});

test("struct pages that lie in the namespace fit in what is set aside for them", () => {
  for (const align of [4 * KiB, 2 * MiB]) {
    const made = labelled();
    create(made, { mode: "devdax", align });
    const { pagemap, range } = made.daxRegions[0] ?? expect.fail();
    const frames = (pagemap.range.end - pagemap.range.start) / 4096;
    expect((pagemap.altmap?.free ?? 0) * 4096).toBeGreaterThanOrEqual(alignUp(frames * 64, 4096) - 8 * KiB);
    expect(range.start % align).toBe(0);
  }
});

test("an alignment of 1 GiB is refused where nothing would be left, and leaves no trace", () => {
  const made = labelled();
  const before = stateOf(made);
  expect(outcome(() => create(made, { mode: "devdax", align: GiB }))).toBe("ENXIO");
  const { labels: _labels, ...after } = stateOf(made) as Record<string, unknown>;
  expect(after).toEqual((({ labels: _none, ...rest }) => rest)(before as Record<string, unknown>));
  expect(maxAvailableExtent(made.region)).toBe(GiB);
});

test("a 4 GiB region holds a devdax namespace with an alignment of 1 GiB, which loses one to it", () => {
  const made = labelled({ size: 4 * GiB });
  create(made, { mode: "devdax", align: GiB, map: "mem" });
  expect(made.daxRegions[0]).toMatchObject({
    align: GiB,
    range: { start: START + GiB, end: START + 4 * GiB },
  });
});

test.each([
  ["a size off the alignment", { mode: "devdax", size: 100 * MiB + 4096 }, "EINVAL"],
  ["a size off the region's alignment of 16 MiB", { mode: "raw", size: 24 * MiB }, "EINVAL"],
  ["an alignment that x86-64 can't map", { mode: "devdax", align: 64 * KiB }, "ENXIO"],
  ["an alignment for raw mode", { mode: "raw", align: 4096 }, "ENXIO"],
  ["more than there is", { mode: "raw", size: 2 * GiB }, "ENOSPC"],
] as const)("%s is refused, and nothing of the namespace is left", (_what, options, errno) => {
  const made = labelled();
  expect(outcome(() => create(made, options))).toBe(errno);
  expect(made.bus.namespaces().map(({ size, uuid }) => [size, uuid])).toEqual([[0, undefined]]);
  expect(made.mapped).toEqual([]);
});

test("a namespace whose struct pages find no memory is not there, and can be made when there is some", () => {
  const made = labelled();
  made.kernel.faults.point("memremap").arm({ probability: 100 });
  for (const mode of ["devdax", "fsdax", "raw"] as const) {
    expect(outcome(() => create(made, { mode }))).toBe("ENXIO");
    expect(maxAvailableExtent(made.region)).toBe(GiB);
    expect(made.iomemText).not.toContain("namespace");
  }
  made.kernel.faults.disarmAll();
  expect(made.isActive(create(made, { mode: "devdax" }))).toBe(true);
});

test("an active namespace is destroyed with force only, and a mounted one not at all", () => {
  const made = labelled();
  const namespace = create(made, { mode: "fsdax" });
  expect(outcome(() => run(made.destroy(namespace)))).toBe("EBUSY");
  const disk = namespace.claim?.disk ?? expect.fail();
  disk.holder = "ext4 on /mnt";
  expect(outcome(() => run(made.destroy(namespace, { force: true })))).toBe("EBUSY");
  disk.holder = undefined;
  run(made.destroy(namespace, { force: true }));
  expect(made.region.namespaces.get(0)?.size).toBe(0);
});

test("a region that is read-only has no namespace made or destroyed", () => {
  const made = labelled();
  const namespace = create(made, { mode: "fsdax", size: 64 * MiB });
  run(made.vfs.write(`${made.ndRegion(made.region).path}/read_only`, "1\n"));
  const before = stateOf(made);
  expect(outcome(() => run(made.destroy(namespace, { force: true })))).toBe("ENXIO");
  expect(outcome(() => create(made, { mode: "fsdax", size: 64 * MiB }))).toBe("ENOSPC");
  expect(stateOf(made)).toEqual(before);
});

test("a btt that couldn't be enabled keeps its namespace, and the namespace its size", () => {
  const made = labelled();
  made.kernel.faults.point("memremap").arm({ probability: 100 });
  expect(outcome(() => create(made, { mode: "sector" }))).toBe("ENXIO");
  expect([maxAvailableExtent(made.region), made.namespace("namespace0.0").mode]).toEqual([0, "safe"]);
});

test("what is made anew keeps its name and its mode's alignment, and not where its struct pages were", () => {
  const made = labelled();
  const [first, second] = [256, 256].map((size) =>
    create(made, { mode: "devdax", size: size * MiB, align: 4096, map: "mem", name: "tier" }),
  );
  run(made.destroy(first ?? expect.fail(), { force: true }));
  const { uuid } = second ?? expect.fail();
  const again = run(made.reconfigure(second ?? expect.fail(), { force: true }));
  // The first is idle, and stays so.
  expect([again, again.size, again.altName]).toEqual([second, 256 * MiB, "tier"]);
  expect([again.claim?.kind, again.claim?.align, again.claim?.mode]).toEqual(["dax", 4096, "pmem"]);
  expect(again.uuid).not.toBe(uuid);
  const changed = run(made.reconfigure(again, { mode: "fsdax", force: true }));
  expect([changed.claim?.align, changed.lbaSize]).toEqual([2 * MiB, 512]);
  expect(run(made.reconfigure(changed, { mode: "raw", force: true })).mode).toBe("raw");
});

test("memory that is online as RAM is not taken away by anything that ndctl does, with force or without", () => {
  const made = labelled();
  const namespace = create(made, { mode: "devdax" });
  made.onlineAsRam = true;
  const refused = [
    made.disable(namespace),
    made.disableRegion(made.region),
    made.destroy(namespace, { force: true }),
    made.reconfigure(namespace, { mode: "raw", force: true }),
    made.clearErrors(namespace),
  ].map((task) => outcome(() => run<unknown>(task)));
  expect(refused).toEqual(Array.from({ length: 5 }, () => "EBUSY"));
  expect(made.isActive(namespace)).toBe(true);
  made.onlineAsRam = false;
  run(made.disableRegion(made.region));
  expect(made.mapped).toEqual([]);
});

test("a namespace that is disabled and enabled again is what it was", () => {
  const made = labelled();
  const namespace = create(made, { mode: "devdax", size: 256 * MiB });
  const { uuid } = namespace.claim ?? expect.fail();
  run(made.disable(namespace));
  expect([made.mapped, namespace.mode, made.isActive(namespace)]).toEqual([[], "raw", false]);
  run(made.disable(namespace));
  run(made.enable(namespace));
  expect([namespace.mode, namespace.claim?.uuid, namespace.claim?.align]).toEqual(["dax", uuid, 2 * MiB]);
});

test("namespaces fill the lowest gap, and grow only into the space beside them", () => {
  const made = labelled();
  const [first, second] = [256, 256].map((size) => create(made, { mode: "raw", size: size * MiB }));
  if (!first || !second) expect.fail();
  create(made, { mode: "raw", size: 64 * MiB });
  run(made.destroy(second as Namespace, { force: true }));
  const again = create(made, { mode: "raw", size: 128 * MiB });
  expect(again.range.start).toBe(START + 256 * MiB);
  run(made.disable(again));
  run(storeSize(again, 256 * MiB));
  expect(again.size).toBe(256 * MiB);
  expect(outcome(() => run(storeSize(again, 512 * MiB)))).toBe("ENXIO");
  expect(again.size).toBe(256 * MiB);
});

test("two namespaces can't have one uuid, and a claim can't take what is meant for another", () => {
  const made = labelled();
  const first = create(made, { mode: "raw", size: 256 * MiB });
  const seed = made.region.namespaceSeed ?? expect.fail();
  expect(outcome(() => run(storeUuid(seed, first.uuid ?? "")))).toBe("EINVAL");
  const second = create(made, { mode: "fsdax", size: 256 * MiB });
  const pfn = second.claim ?? expect.fail();
  run(unbindClaim(pfn));
  run(storeClaimNamespace(pfn, ""));
  const dax = made.region.claimSeeds.dax ?? expect.fail();
  expect(outcome(() => run(storeClaimNamespace(dax, second.name)))).toBe("EBUSY");
  expect(outcome(() => run(bindClaim(dax)))).toBe("ENODEV");
});

test("a region without labels gets some when its namespace is reconfigured, unless that was refused", () => {
  for (const autolabel of [true, false]) {
    const made = machine();
    run(made.reconfigure(made.namespace("namespace0.0"), { mode: "devdax", force: true, autolabel }));
    expect(made.region.isLabelled).toBe(autolabel);
    expect(made.reboot().namespace("namespace0.0").mode).toBe("dax");
  }
});

test("a module that another region uses is not given labels behind its back", () => {
  const made = machine({ regions: 2 });
  const reconfigure = (autolabel: boolean): Namespace =>
    run(made.reconfigure(made.namespace("namespace0.0"), { mode: "devdax", force: true, autolabel }));
  expect(outcome(() => reconfigure(true))).toBe("ENODEV");
  expect(made.bus.regions.map(({ isLabelled }) => isLabelled)).toEqual([false, false]);
  expect(reconfigure(false).mode).toBe("dax");
  expect(made.namespace("namespace1.0").mode).toBe("raw");
});

/** `memmap=1G!4G`. */
class CommandLineMachine extends NdctlMachine {
  override spec(): ReturnType<NdctlMachine["spec"]> {
    const spec = super.spec();
    const [media] = this.media;
    return {
      ...spec,
      dimms: [],
      regions: spec.regions.map((region) => ({ ...region, mappings: [], ...(media && { media }) })),
    };
  }
}

test("a range of the command line has no modules, and its mode can be changed all the same", () => {
  const made = new CommandLineMachine({ firmware: "none" }).boot();
  expect(made.region.hasFlush).toBeUndefined();
  run(made.reconfigure(made.namespace("namespace0.0"), { mode: "fsdax", force: true, map: "mem" }));
  expect(made.reboot().namespace("namespace0.0").claim?.disk?.name).toBe("pmem0");
  run(made.destroy(made.namespace("namespace0.0"), { force: true }));
  expect(made.reboot().namespace("namespace0.0").mode).toBe("raw");
});

test("a namespace in sector mode is smaller by its arenas' maps, logs and info blocks", () => {
  expect(bttSize(16 * MiB, 512)).toBe(Math.floor((16 * MiB - 4 * 4096 - 3 * 4096) / 516 - 256) * 512);
  const made = labelled();
  const disk = create(made, { mode: "sector", sectorSize: 4096 }).claim?.disk;
  expect([disk?.name, disk?.sectorSize]).toEqual(["pmem0s", 4096]);
  expect((disk?.size ?? 0) / GiB).toBeCloseTo(0.9977, 2);
});

test("a namespace that is made anew lies where it was, and its old contents are still there", () => {
  const made = machine();
  const namespace = run(made.reconfigure(made.namespace("namespace0.0"), { mode: "raw", force: true }));
  run(namespace.disk?.write(100, new Uint8Array(512).fill(3)) ?? none());
  const again = run(made.reconfigure(namespace, { mode: "raw", force: true }));
  const into = new Uint8Array(512);
  run(again.disk?.read(100, into) ?? none());
  expect(into[0]).toBe(3);
});

function* none(): Generator<never, void, void> {}
