// What ndctl printed on a 6.1 kernel, beside what is printed here.
import { readFileSync } from "node:fs";
import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import {
  formatNdctlJson,
  type Listing,
  listDimm,
  listedNamespaces,
  listNamespace,
  type ListOptions,
  listRegion,
  reconfigureNamespace,
} from "../src/index.ts";
import { NvdimmMachine } from "./nvdimm-machine.ts";

const TRANSCRIPT = readFileSync(new URL("../fixtures/ndctl.txt", import.meta.url), "utf8");

function captured(command: string): string {
  const [, answer = ""] = TRANSCRIPT.split(`$ ${command}\n`);
  return answer.split("\n$ ")[0] ?? "";
}

/** As the dax bus lists the one region there is. */
function daxRegion(): Listing {
  const device = { chardev: "dax0.0", size: 1054867456, target_node: 2, align: 2097152, mode: "devdax" };
  return { id: 0, size: 1054867456, align: 2097152, devices: [device] };
}

/** The machine that was captured, with the names that it had given. */
class CapturedMachine extends NvdimmMachine {
  readonly #uuids = ["b29f6ace-0799-435e-8e4e-0bc8ef5d42f4", "82155aaa-ced0-453e-95e5-dd726d7491cb"];

  constructor() {
    super({ firmware: "labels" });
  }

  override spec(): ReturnType<NvdimmMachine["spec"]> {
    return { ...super.spec(), newUuid: () => this.#uuids.shift() ?? "" };
  }
}

test("ndctl list, create-namespace and list again print what they printed there", () => {
  const { bus, region } = new CapturedMachine().boot();
  const verbose: ListOptions = { verbose: true, dimms: bus.dimms, daxRegion };
  const list = (): Listing[] => listedNamespaces(region, verbose).map((one) => listNamespace(one, verbose));
  const everything = {
    dimms: bus.dimms.map(listDimm),
    regions: [{ ...listRegion(region, verbose), namespaces: list() }],
  };
  expect(formatNdctlJson(everything)).toBe(captured("ndctl list -RNDv"));
  const namespace = run(reconfigureNamespace(bus.namespace("namespace0.0"), { force: true, mode: "devdax" }));
  expect(formatNdctlJson(listNamespace(namespace, { daxRegion }))).toBe(
    captured("ndctl create-namespace -f -e namespace0.0 -m devdax"),
  );
  expect(formatNdctlJson(list())).toBe(captured("ndctl list -Nv"));
});

test("the metadata of a devdax namespace is the namespace's in /proc/iomem, and the rest is the dax bus's", () => {
  const machine = new CapturedMachine().boot();
  run(reconfigureNamespace(machine.namespace("namespace0.0"), { force: true, mode: "devdax" }));
  expect(captured("cat /proc/iomem | grep -A6 Persistent")).toContain(machine.iomemText);
  expect(machine.daxRegions).toMatchObject([
    { range: { start: 0x101200000, end: 0x140000000 }, align: 0x200000, targetNode: 2, regionId: 0, id: 0 },
  ]);
});
