// What stands at the start of a namespace, and when it is believed: the info blocks of pfn and dax devices.
import { outcome } from "@hetmem/test-machines/outcome";
import { GiB, MiB, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import {
  bindNamespace,
  decodePfnBlock,
  encodePfnBlock,
  type PfnInfoBlock,
  storeBytes,
  unbindNamespace,
} from "../src/index.ts";
import { machine } from "@hetmem/test-machines/nvdimm-machine";

const INFO_BLOCK_AT = 4096;
const ZERO = "00000000-0000-0000-0000-000000000000";
/** As the kernel writes it for a whole region of 1 GiB without labels. */
const WHOLE: PfnInfoBlock = {
  kind: "dax",
  uuid: "82155aaa-ced0-453e-95e5-dd726d7491cb",
  parentUuid: ZERO,
  mode: "pmem",
  startPad: 0,
  dataOffset: 18 * MiB,
  npfns: (GiB - 18 * MiB) / 4096,
  endTrunc: 0,
  align: 2 * MiB,
  pageSize: 4096,
  pageStructSize: 64,
};

/** What a namespace becomes whose info block is this one: its mode, or why it can't be enabled. */
function becomes(bytes: Uint8Array): string {
  const made = machine();
  const namespace = made.namespace("namespace0.0");
  run(unbindNamespace(namespace));
  storeBytes(made.region, namespace.range.start + INFO_BLOCK_AT, bytes);
  const bound = outcome(() => run(bindNamespace(namespace)));
  return bound === "done" ? namespace.mode : bound;
}

test.each<[string, Partial<PfnInfoBlock>, string]>([
  ["as it should be", {}, "dax"],
  ["of a pfn device", { kind: "pfn" }, "memory"],
  ["made for another namespace", { parentUuid: WHOLE.uuid }, "raw"],
  ["without a mode", { mode: "none" }, "EOPNOTSUPP"],
  ["of larger pages", { pageSize: 65_536 }, "EOPNOTSUPP"],
  ["of larger pages, whose struct pages are in RAM", { pageSize: 65_536, mode: "ram" }, "dax"],
  ["with too little room for struct pages", { pageStructSize: 56 }, "EOPNOTSUPP"],
  ["of an alignment that isn't one", { align: 8192 }, "EOPNOTSUPP"],
  ["whose data begins at the namespace's end", { dataOffset: GiB }, "EOPNOTSUPP"],
  ["whose data is one alignment", { dataOffset: GiB - 2 * MiB }, "dax"],
  ["whose data begins unaligned", { dataOffset: 17 * MiB }, "EOPNOTSUPP"],
  ["whose data ends unaligned", { endTrunc: MiB }, "EOPNOTSUPP"],
  ["whose data ends before the namespace", { endTrunc: 2 * MiB }, "dax"],
])("an info block %s is believed, passed over or refused as the kernel does", (_what, change, result) => {
  expect(becomes(encodePfnBlock({ ...WHOLE, ...change }))).toBe(result);
});

test("an info block with any bit changed is none", () => {
  const bytes = encodePfnBlock(WHOLE);
  expect(decodePfnBlock(bytes)).toEqual(WHOLE);
  for (const at of [0, 16, 47, 56, 72, 92, 4000, 4088, 4095]) {
    const torn = bytes.slice();
    torn[at] = (torn[at] ?? 0) ^ 1;
    expect(decodePfnBlock(torn)).toBeUndefined();
  }
});

test("an info block in a sector that can't be read is not believed, and the namespace is a disk", () => {
  const made = machine();
  const namespace = made.namespace("namespace0.0");
  run(unbindNamespace(namespace));
  storeBytes(made.region, namespace.range.start + INFO_BLOCK_AT, encodePfnBlock(WHOLE));
  made.media[0]?.damage(INFO_BLOCK_AT, 512);
  run(bindNamespace(namespace));
  expect(namespace.mode).toBe("raw");
});
