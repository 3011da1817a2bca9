// `hetmem plan` as it is typed: the text that a person reads, the JSON that a program reads, and what is refused.
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { BUNDLED_CAPTURES } from "@hetmem/host-capture/node";
import type { Plan } from "@hetmem/report";
import { hetmem } from "./hetmem-program.ts";

const CAPTURE = BUNDLED_CAPTURES.nvdimm;
const PMEM = fileURLToPath(new URL("../fixtures/machines/server-pmem.yaml", import.meta.url));

/** The first paragraph, which names the source, in one line; and the page behind it. */
function partsOf(out: string): { headline: string; page: string } {
  const end = out.indexOf("\n\n");
  return { headline: out.slice(0, end).replaceAll("\n", " "), page: out.slice(end + 2) };
}

test("a plan of the captured host reads as a page", async () => {
  const { status, out, err } = await hetmem("plan", "namespace0.0", "--from", CAPTURE, "--profile", "v6.1");
  expect([status, err]).toEqual([0, ""]);
  const { headline, page } = partsOf(out);
  expect(headline).toBe(
    `896 MiB of the 1006 MiB of dax0.0 (namespace0.0, 1 GiB with 18 MiB for metadata) on a model of the captured host ${CAPTURE} become RAM of node 2, in zone Movable.`,
  );
  await expect(page).toMatchFileSnapshot("../fixtures/plans/captured-nvdimm-movable.txt");
});

test("a plan that gives a device to the kernel reads as a page", async () => {
  const { out } = await hetmem("plan", "dax1.0", "--machine", PMEM, "--zone", "kernel");
  const { headline, page } = partsOf(out);
  expect(headline).toBe(`All 2 GiB of dax1.0 on ${PMEM} become RAM of node 3, in zone Normal.`);
  await expect(page).toMatchFileSnapshot("../fixtures/plans/server-pmem-kernel.txt");
});

test("no line is wider than the terminal, but commands and tables", async () => {
  const { out } = await hetmem("plan", "namespace0.0", "--from", CAPTURE, "--profile", "v6.1");
  expect(out.split("\n").filter((line) => line.length > 100)).toEqual([]);
});

test("--json has the same figures, in bytes", async () => {
  const { status, out } = await hetmem(
    "plan",
    "namespace0.0",
    "--from",
    CAPTURE,
    "--profile",
    "v6.1",
    "--json",
  );
  expect(status).toBe(0);
  const plan = JSON.parse(out) as Plan & { source: string; notices: string[] };
  expect(plan).toMatchObject({ device: "dax0.0", zone: "movable", node: 2, added: 896 * 2 ** 20 });
  expect(plan.source).toContain("tree-nvdimm.tar.gz");
  for (const key of [
    "zones",
    "structPages",
    "ratio",
    "blocks",
    "distances",
    "tiers",
    "warnings",
    "commands",
    "notices",
  ])
    expect(plan, key).toHaveProperty(key);
});

test.each([
  [
    ["dax7.0", "--machine", PMEM],
    "there is no dax7.0 on this machine: name one of dax1.0, region0 (4 GiB free)",
  ],
  [
    ["namespace0.0", "--machine", PMEM],
    "namespace0.0 is there to be made, and has no capacity yet: name one of dax1.0, region0 (4 GiB free)",
  ],
  [
    ["region0", "--from", CAPTURE, "--profile", "v6.1"],
    "region0 has no capacity that is free: name one of namespace0.0",
  ],
  [
    ["dax0.0", "--from", BUNDLED_CAPTURES["hidden-ram"]],
    "there is no dax0.0 on this machine: it has no dax device and no persistent memory",
  ],
  [
    ["namespace0.0", "--from", CAPTURE, "--profile", "v4.14"],
    "this machine has no driver kmem, which makes RAM of a dax device: choose --profile v5.1 or v6.1",
  ],
])("hetmem plan %j is refused with status 1 and a sentence", async (args, sentence) => {
  expect(await hetmem("plan", ...args)).toEqual({ status: 1, out: "", err: `hetmem: ${sentence}\n` });
});

test("a zone that isn't one, and no device at all, are misuse: status 2", async () => {
  expect((await hetmem("plan", "dax0.0", "--zone", "both")).err).toContain(
    "Allowed choices are movable, kernel",
  );
  expect((await hetmem("plan")).status).toBe(2);
});

test("memory that the firmware set aside is one lane of the picture, however many drivers have it", async () => {
  const { out } = await hetmem("boot", "--machine", PMEM);
  expect(out.match(/^reserved +◆+$/gm)).toHaveLength(1);
  expect(out).not.toContain("devices at 0x4_0000_0000");
});
