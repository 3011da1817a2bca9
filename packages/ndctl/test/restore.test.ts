// Namespaces that are written to new modules from what /sys said of them on another machine.
import { outcome } from "@hetmem/test-machines/outcome";
import { GiB, MiB, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { type NamespaceRecord, restoreNamespace } from "@hetmem/nvdimm";
import { START } from "@hetmem/test-machines/nvdimm-machine";
import type { CreateNamespaceOptions } from "../src/index.ts";
import { machine, type NdctlMachine } from "./ndctl-machine.ts";

/** The namespace of a machine, as /sys shows it. */
function recordOf(made: NdctlMachine): NamespaceRecord {
  const { range, uuid, claim, altName } = made.namespace("namespace0.0");
  const data = made.daxRegions[0]?.range;
  const claimed = claim?.uuid !== undefined && data ? { ...claim, uuid: claim.uuid, data } : undefined;
  return {
    range,
    ...(uuid !== undefined && { uuid, name: altName }),
    ...(claimed && {
      claim: {
        kind: "dax",
        uuid: claimed.uuid,
        align: claimed.align,
        mode: claimed.mode === "ram" ? "ram" : "pmem",
        data,
      },
    }),
  } as NamespaceRecord;
}

test.each<[string, CreateNamespaceOptions]>([
  ["with labels", { name: "database" }],
  ["without labels", { autolabel: false }],
  ["with struct pages in RAM", { map: "mem" }],
])("a namespace %s is there when the media is registered, as it was", (_what, options) => {
  const real = machine({ ways: 2 });
  run(real.reconfigure(real.namespace("namespace0.0"), { mode: "devdax", force: true, ...options }));
  const copy = machine({ ways: 2 });
  run(restoreNamespace(copy.region, recordOf(real)));
  copy.reboot();
  const [there, here] = [real, copy].map((made) => made.namespace("namespace0.0"));
  if (!there || !here) throw new Error("both have one");
  expect(copy.listNamespace(here)).toEqual(real.listNamespace(there));
  expect([here.range, here.kind]).toEqual([there.range, there.kind]);
  expect(copy.daxRegions.map(({ range, align }) => [range, align])).toEqual(
    real.daxRegions.map(({ range, align }) => [range, align]),
  );
});

test("a namespace that leaves its region, or lies where another is, can't have been there", () => {
  const made = machine();
  const uuid = "82155aaa-ced0-453e-95e5-dd726d7491cb";
  const restore = (start: number, size: number, name: string): string =>
    outcome(() => run(restoreNamespace(made.region, { range: { start, end: start + size }, uuid: name })));
  expect(restore(START, 2 * GiB, uuid)).toBe("EINVAL");
  expect(restore(START, 512 * MiB, uuid)).toBe("done");
  expect(restore(START + 256 * MiB, 512 * MiB, uuid.replace("8", "9"))).toBe("EBUSY");
});
