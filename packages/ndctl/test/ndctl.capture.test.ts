// The output of ndctl on a 6.1 kernel, compared with this one's.
import { readFileSync } from "node:fs";
import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { formatJson, type Json } from "@hetmem/shell/tool";
import { listedNamespaces, type Listing, listNamespace, type ListOptions, listRegion } from "../src/index.ts";
import { NdctlMachine } from "./ndctl-machine.ts";

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
class CapturedMachine extends NdctlMachine {
  readonly #uuids = ["b29f6ace-0799-435e-8e4e-0bc8ef5d42f4", "82155aaa-ced0-453e-95e5-dd726d7491cb"];

  constructor() {
    super({ firmware: "labels" });
  }

  override spec(): ReturnType<NdctlMachine["spec"]> {
    return { ...super.spec(), newUuid: () => this.#uuids.shift() ?? "" };
  }
}

test("ndctl list, create-namespace and list again print what they printed there", () => {
  const made = new CapturedMachine().boot();
  const { bus, context } = made;
  const region = made.ndRegion(made.region);
  const verbose: ListOptions = { verbose: true, dimms: bus.dimms.map((dimm) => made.ndDimm(dimm)) };
  // As the dax bus lists the one region there is, where a namespace has one.
  const listed = (name: string, options: ListOptions): Json => {
    const namespace = made.namespace(name);
    const dax = namespace.claim?.dax ? { daxregion: daxRegion() } : {};
    return run(listNamespace(context, made.ndNamespace(namespace), options, dax));
  };
  const list = (): Json[] =>
    run(listedNamespaces(context, region, verbose)).map(({ name }) => listed(name, verbose));
  const everything = {
    dimms: bus.dimms.map((dimm) => made.listDimm(dimm)),
    regions: [{ ...run(listRegion(context, region, verbose)), namespaces: list() }],
  };
  expect(formatJson(everything)).toBe(captured("ndctl list -RNDv"));
  const namespace = run(made.reconfigure(bus.namespace("namespace0.0"), { force: true, mode: "devdax" }));
  expect(formatJson(listed(namespace.name, {}))).toBe(
    captured("ndctl create-namespace -f -e namespace0.0 -m devdax"),
  );
  expect(formatJson(list())).toBe(captured("ndctl list -Nv"));
});

test("the metadata of a devdax namespace is the namespace's in /proc/iomem, and the rest is the dax bus's", () => {
  const machine = new CapturedMachine().boot();
  run(machine.reconfigure(machine.namespace("namespace0.0"), { force: true, mode: "devdax" }));
  expect(captured("cat /proc/iomem | grep -A6 Persistent")).toContain(machine.iomemText);
  expect(machine.daxRegions).toMatchObject([
    { range: { start: 0x101200000, end: 0x140000000 }, align: 0x200000, targetNode: 2, regionId: 0, id: 0 },
  ]);
});
