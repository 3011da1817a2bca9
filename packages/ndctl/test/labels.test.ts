// Labels: what namespaces are known by after a reboot, and after power that failed while they were written.
import { outcome } from "@hetmem/test-machines/outcome";
import { GiB, KernelError, MiB, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { LabelArea } from "@hetmem/nvdimm";
import { hasLabelIndex } from "../src/index.ts";
import { labelled, machine, NdctlMachine } from "./ndctl-machine.ts";

const sizes = ({ bus }: NdctlMachine): string[] =>
  bus
    .namespaces()
    .filter(({ size }) => size > 0)
    .map(({ name, size, mode }) => `${name} ${mode} ${size / MiB}`);

test("a module without an index gives its region one namespace of all of it, without a label", () => {
  const made = machine();
  expect(made.region.nstype).toBe(4);
  expect(sizes(made)).toEqual(["namespace0.0 raw 1024"]);
  expect(run(hasLabelIndex(made.context, made.ndDimm(made.bus.dimm(0))))).toBe(false);
});

test("namespaces of every mode come back after a reboot with their sizes, names and modes", () => {
  const made = labelled({ ways: 2 });
  run(made.create({ mode: "devdax", size: 256 * MiB, name: "tier" }));
  run(made.create({ mode: "fsdax", size: 128 * MiB, map: "mem" }));
  run(made.create({ mode: "sector", size: 64 * MiB }));
  run(made.create({ mode: "raw", size: 32 * MiB }));
  const before = made.bus
    .namespaces()
    .filter(({ size }) => size > 0)
    .map((one) => made.listNamespace(one));
  made.reboot();
  expect(
    made.bus
      .namespaces()
      .filter(({ size }) => size > 0)
      .map((one) => made.listNamespace(one)),
  ).toEqual(before);
  expect(before.map(({ mode, map, name }) => [mode, map, name])).toEqual([
    ["devdax", "dev", "tier"],
    ["fsdax", "mem", undefined],
    ["sector", undefined, undefined],
    ["raw", undefined, undefined],
  ]);
});

test("a destroyed namespace does not come back, and its capacity is free", () => {
  const made = labelled();
  const namespace = run(made.create({ mode: "devdax", size: 256 * MiB }));
  run(made.destroy(namespace, { force: true }));
  expect(made.mapped).toEqual([]);
  made.reboot();
  expect(sizes(made)).toEqual([]);
  run(made.create({ mode: "raw", size: GiB }));
});

test("zeroed labels leave one namespace of the whole region after the region is enabled again", () => {
  const made = labelled();
  run(made.create({ mode: "raw", size: 256 * MiB }));
  expect(outcome(() => run(made.zeroLabels(made.bus.dimm(0))))).toBe("EBUSY");
  run(made.disableRegion(made.region));
  run(made.zeroLabels(made.bus.dimm(0)));
  run(made.enableRegion(made.region));
  expect(sizes(made)).toEqual(["namespace0.0 raw 1024"]);
  expect(made.readLabels(made.bus.dimm(0)).every((byte) => byte === 0)).toBe(true);
});

test("read-labels shows both index blocks, and a label on each module of an interleaved namespace", () => {
  const made = labelled({ ways: 2 });
  const { uuid } = run(made.create({ mode: "devdax", size: 256 * MiB }));
  const [first, second] = made.bus.dimms.map((dimm) => made.listLabels(dimm));
  expect(first?.index.map(({ minor, labelsize, nslot }) => [minor, labelsize, nslot])).toEqual([
    [2, 256, 510],
    [2, 256, 510],
  ]);
  expect(
    [first, second].map((one) =>
      one?.label?.map((label) => [label.uuid, label.position, label.nlabel, label.rawsize]),
    ),
  ).toEqual([[[uuid, 0, 2, 128 * MiB]], [[uuid, 1, 2, 128 * MiB]]]);
  expect(first?.label?.[0]?.abstraction_guid).toBe("97a86d9c-3cdd-4eda-986f-5068b4f80088");
});

test("a region whose second module lost a label is refused, and the log says which", () => {
  const made = labelled({ ways: 2 });
  run(made.create({ mode: "raw", size: 256 * MiB }));
  const area = made.media[1]?.labelArea;
  area?.fill(0, 512); // slots begin behind two index blocks of 256 bytes
  made.reboot();
  expect(made.region.driver).toBeUndefined();
  expect(made.kernel.log.format()).toContain("nmem1 missing label for");
});

test("labels of another interleave set are overlooked", () => {
  const made = labelled();
  run(made.create({ mode: "raw", size: 256 * MiB }));
  const other = new NdctlMachine();
  const spec = other.spec();
  const [dimm] = spec.dimms;
  if (!dimm) throw new Error("the machine has no module");
  other.media[0]?.labelArea.set(made.media[0]?.labelArea ?? []);
  other.spec = () => ({ ...spec, dimms: [{ ...dimm, serial: 0x1234 }] });
  expect(sizes(other.boot())).toEqual([]);
});

test("of two index blocks the newer counts, and when that is torn the older", () => {
  const made = labelled();
  run(made.create({ mode: "raw", size: 64 * MiB }));
  const area = made.media[0]?.labelArea ?? new Uint8Array();
  const sequences = (): number[] => made.listLabels(made.bus.dimm(0)).index.map(({ seq }) => seq);
  const [newest] = made.listLabels(made.bus.dimm(0)).label ?? [];
  expect(newest).toBeDefined();
  expect(sequences()).toHaveLength(2);
  for (const at of [64, 64 + 256]) {
    const torn = area.slice();
    torn[at] = (torn[at] ?? 0) ^ 0xff;
    const survivor = new LabelArea(torn, function* () {});
    expect(survivor.valid).toBe(true);
  }
});

test("power that fails at any step of creating a namespace leaves all of it or nothing", () => {
  let outcomes = "";
  for (let steps = 0; ; steps++) {
    const made = labelled({ ways: 2, seed: steps + 1 });
    const task = made.create({ mode: "raw", size: 256 * MiB });
    let done = false;
    for (let i = 0; i < steps && !done; i++) done = task.next().done === true;
    made.failPower();
    const left = sizes(made);
    // A set of labels of which one module lacks its own is refused whole; that is the kernel's answer too.
    outcomes += made.region.driver === undefined ? "x" : left.length === 0 ? "0" : "1";
    if (left.length > 0) expect(left).toEqual(["namespace0.0 raw 256"]);
    if (done) break;
  }
  expect(outcomes).toMatch(/^0+x*1+$/);
});

test("a label area has room for as many namespaces as it has slots, less the one that updates need", () => {
  const made = labelled({ labelAreaSize: 256 * 2 + 256 * 4 });
  const create = (): unknown => run(made.create({ mode: "raw", size: 64 * MiB }));
  create();
  create();
  create();
  expect(() => create()).toThrow(KernelError);
  expect(sizes(made)).toHaveLength(3);
});
