// From the options of create-namespace to a plan: the bounds, each at its value and beyond.
import { outcome } from "@hetmem/test-machines/outcome";
import { GiB, MiB } from "@hetmem/kernel";
import { expect, test } from "vitest";
import type { ClaimFacts, NamespaceFacts, RegionFacts } from "../src/libndctl/facts.ts";
import {
  type CreateNamespaceOptions,
  type NamespaceMode,
  type NamespacePlan,
  planNamespace,
} from "../src/libndctl/namespace-options.ts";
import { SILENT } from "../src/libndctl/report.ts";

const UUID = "00000000-0000-4000-8000-000000000001";
const NO_CHOICE = { supported: [], chosen: 0 };

const REGION: RegionFacts = {
  name: "region0",
  enabled: true,
  start: 4 * GiB,
  size: GiB,
  ways: 1,
  labelled: true,
  align: MiB,
  maxAvailableExtent: GiB,
  readOnly: false,
  numaNode: 0,
  targetNode: 0,
};

const CLAIM: ClaimFacts = {
  name: "pfn0.0",
  kind: "pfn",
  uuid: undefined,
  location: "none",
  align: 2 * MiB,
  alignments: [4096, 2 * MiB, GiB],
  sectorSize: NO_CHOICE,
  start: undefined,
  size: undefined,
  disk: undefined,
};

const NAMESPACE: NamespaceFacts = {
  name: "namespace0.0",
  kind: "pmem",
  start: undefined,
  size: 0,
  uuid: undefined,
  altName: "",
  sectorSize: { supported: [512, 4096], chosen: 0 },
  mode: "raw",
  claim: undefined,
  disk: undefined,
};

function plan(
  options: CreateNamespaceOptions,
  region: Partial<RegionFacts> = {},
  former?: NamespaceFacts,
): NamespacePlan {
  const mode: NamespaceMode = options.mode ?? "fsdax";
  const facts = {
    region: { ...REGION, ...region },
    mode,
    claimSeed: CLAIM,
    namespaceSeed: NAMESPACE,
    former,
  };
  return planNamespace(facts, options, UUID, SILENT);
}

test("a namespace with a personality has 16 MiB or more, and a raw one may have less", () => {
  expect(plan({ size: 16 * MiB }).size).toBe(16 * MiB);
  expect(outcome(() => plan({ size: 14 * MiB }))).toBe("EINVAL");
  expect(plan({ mode: "raw", size: 14 * MiB }).size).toBe(14 * MiB);
});

test("a name has 63 bytes at most", () => {
  expect(plan({ name: "n".repeat(63) }).name).toHaveLength(63);
  expect(outcome(() => plan({ name: "n".repeat(64) }))).toBe("EINVAL");
});

test("a size is a multiple of the alignment on each of the interleaved modules, and another is recommended", () => {
  expect(plan({ size: 20 * MiB }, { ways: 2 }).size).toBe(20 * MiB);
  expect(() => plan({ size: 18 * MiB, sizeUnit: MiB }, { ways: 2 })).toThrow(
    "'--size=' must align to interleave-width: 2 and alignment: 2097152; did you intend --size=20M?",
  );
});

test("the alignment is a page where the region begins at no multiple of the usual one", () => {
  expect(plan({ size: 64 * MiB }).align).toBe(2 * MiB);
  expect(plan({ size: 64 * MiB }, { start: 4 * GiB + MiB }).align).toBe(4096);
});

test("a namespace that is made anew keeps the sector size that it has chosen", () => {
  const former = { ...NAMESPACE, size: 64 * MiB, mode: "memory" as const, claim: CLAIM };
  const chosen = { ...former, sectorSize: { supported: [512, 4096], chosen: 4096 } };
  expect(plan({}, {}, chosen).sectorSize).toBe(4096);
  expect(plan({}, {}, former).sectorSize).toBe(undefined);
});

test("a region that is disabled or has too little room is left for another", () => {
  expect(outcome(() => plan({}, { enabled: false }))).toBe("EAGAIN");
  expect(outcome(() => plan({ size: GiB + 2 * MiB }))).toBe("EAGAIN");
  expect(plan({ size: GiB }).size).toBe(GiB);
});
