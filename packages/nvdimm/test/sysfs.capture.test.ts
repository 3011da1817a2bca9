// The tree of a bus beside that of a real one: a 6.1 kernel in QEMU with one module without labels.
import { readFileSync } from "node:fs";
import { KernelError, run } from "@hetmem/kernel";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { nvdimmTables } from "../src/index.ts";
import { machine, PARENT } from "@hetmem/test-machines/nvdimm-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { claimNamespace } from "./claim-namespace.ts";

interface Tree {
  readonly directories: readonly string[];
  readonly files: Readonly<Record<string, string>>;
  readonly links: Readonly<Record<string, string>>;
}

const CAPTURED = JSON.parse(
  readFileSync(new URL("../fixtures/ndbus0.json", import.meta.url), "utf8"),
) as Tree;
const BUS = `/sys${PARENT}/ndbus0`;
/** Files of a disk that say nothing of its memory; README.md lists them. */
const NOT_MODELLED =
  /\/block\/pmem0\/(bdi|subsystem|capability|discard_alignment|diskseq|events|inflight|stat|power|trace|holders|slaves|queue)/;
const MODELLED_QUEUE =
  /\/queue\/(dax|fua|hw_sector_size|logical_block_size|minimum_io_size|physical_block_size|rotational|write_cache)$/;

function isModelled(path: string): boolean {
  return !NOT_MODELLED.test(path) || MODELLED_QUEUE.test(path) || path.endsWith("/queue");
}

function treeOf(vfs: Vfs): Tree {
  const files: Record<string, string> = {};
  const links: Record<string, string> = {};
  const directories: string[] = [];
  for (const { path, kind } of vfs.walk(BUS)) {
    const relative = path.slice(BUS.length + 1);
    if (relative === "") continue;
    if (kind === "link") links[relative] = vfs.readlink(path);
    else if (kind === "directory") directories.push(relative);
    else files[relative] = readOrNothing(vfs, path);
  }
  return { directories: directories.sort(), files, links };
}

/** A copied tree has an empty file where reading failed. */
function readOrNothing(vfs: Vfs, path: string): string {
  try {
    return run(vfs.read(path));
  } catch (error) {
    if (error instanceof KernelError) return "";
    throw error;
  }
}

function captureVfs(): Vfs {
  const vfs = new Vfs();
  for (const table of nvdimmTables(machine({ firmware: "labels" }).bus)) vfs.mount(table);
  return vfs;
}

test("a bus of one module without labels has the files and texts of the captured machine's", () => {
  const ours = treeOf(captureVfs());
  const files = Object.entries(CAPTURED.files).filter(([path]) => isModelled(path));
  expect(ours.files).toEqual({
    ...Object.fromEntries(files),
    "region0/namespace0.0/block/pmem0/uevent": "MAJOR=259\nMINOR=0\nDEVNAME=pmem0\nDEVTYPE=disk\n",
  });
  expect(ours.links).toEqual(
    Object.fromEntries(Object.entries(CAPTURED.links).filter(([path]) => isModelled(path))),
  );
  expect(ours.directories).toEqual(CAPTURED.directories.filter(isModelled));
});

test("files of choices answer EBUSY while the device is in use, and EINVAL otherwise, for text that is no number", () => {
  const made = machine();
  const vfs = new Vfs();
  for (const table of nvdimmTables(made.bus)) vfs.mount(table);
  const write = (file: string) => outcome(() => run(vfs.write(`/sys/bus/nd/devices/${file}`, "foo\n")));
  expect(["dax0.0/align", "btt0.0/sector_size"].map(write)).toEqual(["EINVAL", "EINVAL"]);
  claimNamespace(made.namespace("namespace0.0"), "dax");
  expect(write("dax0.0/align")).toBe("EBUSY");
});
