// The obligations of a gpu driver: those of an HMM driver, tried on each kind of device that the driver matches, and what a machine
// counts on beside them. Kernel counterpart: hmm-tests.c, whose variants are the kinds of memory.
import type { GpuDescription, GpuDriver } from "@hetmem/gpu/driver";
import { PAGE_SIZE } from "@hetmem/kernel";
import type { Kit, Obligation } from "../conformance.ts";
import { type DriverUnderTest, hmmDriverKit } from "../hmm-driver/index.ts";
import { Violation } from "../violation.ts";
import { countsItsPages, keepsDevicesApart } from "./devices.ts";
import { hmmDriverOf, NO_LATENCY } from "./hmm-driver-of.ts";

const KINDS = ["private", "coherent"] as const;

export const gpuDriverKit: Kit<GpuDriver> = {
  port: "GpuDriver",
  obligations: [
    ...hmmDriverKit.obligations.map(onEachKind),
    ofDevices(countsItsPages),
    ofDevices(keepsDevicesApart),
  ],
};

/** An obligation of HMM drivers, for a gpu driver: each seed has a kind of memory that the driver matches, in turn. */
function onEachKind({ name, sentence, attempt }: Obligation<DriverUnderTest>): Obligation<GpuDriver> {
  return {
    name,
    sentence,
    attempt: (driver, seed) => attempt(hmmDriverOf(driver, kindOf(driver, seed)), seed),
  };
}

interface ObligationOfDevices {
  readonly name: string;
  readonly sentence: string;
  attempt(driver: GpuDriver, memory: GpuDescription["memory"], seed: number): void;
}

function ofDevices({ name, sentence, attempt }: ObligationOfDevices): Obligation<GpuDriver> {
  return { name, sentence, attempt: (driver, seed) => attempt(driver, kindOf(driver, seed), seed) };
}

/** @throws Violation for a driver that matches no device of the kit */
function kindOf(driver: GpuDriver, seed: number): GpuDescription["memory"] {
  const kinds = KINDS.filter((memory) =>
    driver.match({ name: "gpu0", memory, size: PAGE_SIZE, latency: NO_LATENCY }),
  );
  const kind = kinds[seed % kinds.length];
  if (kind === undefined)
    throw new Violation(
      `${driver.name} matches no device called gpu0 with a page of private or coherent memory: try it with match() of its own`,
    );
  return kind;
}
