// ndctl on the files of a real bus: a 6.1 kernel in QEMU with one module without labels, whose tree was copied. Nothing is behind the
// files: the tool prints what the real one printed there.
import { readFileSync } from "node:fs";
import { createKernel, run } from "@hetmem/kernel";
import { Shell } from "@hetmem/shell";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { ndctl } from "../src/index.ts";

interface Tree {
  readonly directories: readonly string[];
  readonly files: Readonly<Record<string, string>>;
  readonly links: Readonly<Record<string, string>>;
}

const TREE = JSON.parse(
  readFileSync(new URL("../../nvdimm/fixtures/ndbus0.json", import.meta.url), "utf8"),
) as Tree;
const TRANSCRIPT = readFileSync(new URL("../fixtures/ndctl.txt", import.meta.url), "utf8");
const BUS = "/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0";

function shellOf(change: (files: Record<string, string>) => void = () => {}): Shell {
  const texts: Record<string, string> = { ...TREE.files };
  change(texts);
  const vfs = new Vfs();
  const mapped = <T, U>(of: Readonly<Record<string, T>>, to: (value: T) => U): Record<string, U> =>
    Object.fromEntries(Object.entries(of).map(([path, value]) => [path, to(value)]));
  vfs.mount({
    root: `/sys${BUS}`,
    directories: TREE.directories,
    files: mapped(texts, (text) => ({ show: () => text, store: () => {} })),
    links: mapped(TREE.links, (target) => () => target),
  });
  vfs.mount({
    root: "/sys/bus/nd/drivers",
    directories: ["dax_pmem", "nd_bus", "nd_pmem", "nd_region", "nvdimm"],
  });
  vfs.mount({ root: "/sys/class/nd", links: { ndctl0: () => `../..${BUS}/nd/ndctl0` } });
  const spec = { release: "6.1.0" };
  return new Shell({ vfs, kernel: createKernel(), spec }, { ndctl: { run: ndctl, summary: "" } });
}

test("ndctl list prints of a copied tree what the real program printed of the host", () => {
  const [, answer = ""] = TRANSCRIPT.split("$ ndctl list -RNDv\n");
  const { stdout, stderr, status } = run(shellOf().execute("ndctl list -RNDv"));
  expect({ stdout, stderr, status }).toEqual({
    stdout: `${answer.split("\n$ ")[0]}\n`,
    stderr: "",
    status: 0,
  });
});

test.each([
  ["region0/size", "2147483648\n", '"size":2147483648'],
  ["region0/numa_node", "1\n", '"numa_node":1'],
  ["region0/mapping0", "nmem0,4096,1073741824,0\n", '"offset":4096'],
  ["region0/badblocks", "8 2\n100 1\n", '"badblock_count":3'],
  ["nmem0/nfit/handle", "0x11\n", '"handle":17'],
  ["nmem0/nfit/id", "8680-00000001\n", '"id":"8680-00000001"'],
])("what it prints comes from %s", (file, text, shown) => {
  const print = (shell: Shell): string => run(shell.execute("ndctl list -RNDMv")).stdout;
  expect(print(shellOf())).not.toContain(shown);
  const shell = shellOf((files) => {
    expect(files[file]).toBeDefined();
    files[file] = text;
  });
  expect(print(shell)).toContain(shown);
});

test("a kernel that takes every write and does nothing is found out: the region is still enabled", () => {
  const { stderr, status } = run(shellOf().execute("ndctl disable-region region0"));
  expect({ stderr, status }).toEqual({ stderr: expect.stringContaining("disabled 0 regions"), status: 0 });
});
