// The driver of the README, as a machine takes it, meets every obligation of the kit of gpu drivers; and a broken one is found by the
// obligation that it breaks.
import type { GpuDevice, GpuDriver, GpuMemory } from "@hetmem/gpu/driver";
import { PAGE_SIZE } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { expect, test } from "vitest";
import { TinyDevice, tinyGpuDriver } from "../examples/tiny-gpu-driver.ts";
import { TinyGpu } from "../examples/tiny-gpu.ts";
import { gpuDriverKit } from "../src/gpu-driver/index.ts";
import { hmmDriverKit } from "../src/hmm-driver/index.ts";
import { checkConformance, conforms, formatConformance } from "../src/index.ts";
import { BROKEN } from "./broken-drivers.ts";

const tiny = tinyGpuDriver();

/** Counts no page that is used. */
class CountsNone extends TinyDevice {
  override get memory(): GpuMemory {
    return { ...super.memory, usedPages: 0 };
  }
}

/** Takes a used page for free, too. */
class CountsTwice extends TinyDevice {
  override get memory(): GpuMemory {
    return { ...super.memory, freePages: super.memory.freePages + super.memory.usedPages };
  }
}

function driverOf(Device: typeof TinyDevice): GpuDriver {
  return {
    ...tiny,
    *probe({ vm, pagemaps }, { name, size }) {
      return new Device(name, size / PAGE_SIZE, () => new TinyGpu(vm, pagemaps, size / PAGE_SIZE));
    },
  };
}

/** Has one device for all of a machine. */
function sharesOneDevice(): GpuDriver {
  const devices = new WeakMap<Vm, GpuDevice>();
  return {
    ...tiny,
    *probe(host, description) {
      const device = devices.get(host.vm) ?? (yield* tiny.probe(host, description));
      devices.set(host.vm, device);
      return device;
    },
  };
}

test("the driver of the README, as a machine takes it, meets every obligation", () => {
  const report = checkConformance(gpuDriverKit, tiny, { seeds: 4 });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

test.each([
  ["counts its pages", driverOf(CountsNone)],
  ["counts its pages", driverOf(CountsTwice)],
  ["keeps its devices apart", sharesOneDevice()],
])("a driver that breaks '%s' is found out, and of nothing else", (name, driver) => {
  const report = checkConformance(gpuDriverKit, driver, { seeds: 2 });
  const failed = report.obligations.filter(({ failure }) => failure !== undefined);
  expect(
    failed.map((each) => each.name),
    formatConformance(report),
  ).toEqual([name]);
});

test("the obligations of an HMM driver are those of a gpu driver, and a breach of one is found", () => {
  const names = gpuDriverKit.obligations.map(({ name }) => name);
  expect(names.slice(0, -2)).toEqual(hmmDriverKit.obligations.map(({ name }) => name));
  const [[name, Driver] = ["", TinyGpu]] = BROKEN;
  const report = checkConformance(gpuDriverKit, tinyGpuDriver(Driver), { seeds: 30, only: [name] });
  expect(report.obligations[0]?.failure?.reason).toMatch(/is taken, and the device still reaches it$/);
});

test("each kind of memory that a driver matches is tried, seed by seed", () => {
  const probed: string[] = [];
  const both: GpuDriver = {
    ...tiny,
    match: () => true,
    probe(host, description) {
      probed.push(description.memory);
      return tiny.probe(host, description);
    },
  };
  checkConformance(gpuDriverKit, both, { seeds: 4, only: ["counts its pages"] });
  checkConformance(gpuDriverKit, { ...both, match: tiny.match }, { seeds: 2, only: ["counts its pages"] });
  expect(probed).toEqual(["private", "coherent", "private", "coherent", "private", "private"]);
});

test("a driver that matches no device of the kit is told so", () => {
  const report = checkConformance(gpuDriverKit, { ...tiny, match: () => false }, { seeds: 1 });
  expect(report.obligations.map(({ failure }) => failure?.reason.slice(0, 39))).toEqual(
    gpuDriverKit.obligations.map(() => "tiny matches no device called gpu0 with"),
  );
});
