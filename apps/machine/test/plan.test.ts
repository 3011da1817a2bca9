// What a plan says: the figures are those of the machine once the change is made on it.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { BUNDLED_CAPTURES, openTree } from "@hetmem/host-capture/node";
import { captureHost } from "@hetmem/host-capture";
import { createMachine } from "../src/machine.ts";
import type { Plan } from "@hetmem/report";
import { planSystemRam } from "../src/plan/plan.ts";
import { type KernelOptions, machineOfYaml, type MachineSpec, type ProfileName } from "@hetmem/machine-spec";

const MIB = 2 ** 20;
const PMEM = fileURLToPath(new URL("../fixtures/machines/server-pmem.yaml", import.meta.url));

function planOf(zone: "movable" | "kernel", profile: ProfileName = "v6.1"): Plan {
  const { spec } = captureHost(openTree(BUNDLED_CAPTURES.nvdimm), profile);
  return planSystemRam(createMachine(spec), { device: "namespace0.0", zone });
}

function serverPmem(options: KernelOptions = {}): MachineSpec {
  const text = readFileSync(PMEM, "utf8").replace(/^rules:\n.*\n/m, "");
  const spec = machineOfYaml(text, PMEM);
  return { ...spec, options: { ...spec.options, ...options } };
}

function planOn(spec: MachineSpec, device: string, zone: "movable" | "kernel" = "movable"): Plan {
  return planSystemRam(createMachine(spec), { device, zone });
}

test("a plan has the zones, nodes, tiers and struct pages that the captured host came to have", () => {
  const plan = planOf("movable");
  expect(plan).toMatchObject({
    device: "dax0.0",
    namespace: { name: "namespace0.0", size: 1024 * MIB },
    node: 2,
    nodeIsNew: true,
    size: 1006 * MIB,
    added: 896 * MIB,
    trimmed: 110 * MIB,
    bad: 0,
    structPages: { bytes: 14 * MIB, nodes: [{ node: 0, bytes: 14 * MIB }] },
    structPagesBefore: { bytes: 0 },
    distances: [
      { node: 0, distance: 40 },
      { node: 1, distance: 41 },
      { node: 2, distance: 10 },
    ],
    tiers: [
      { tier: 4, nodes: [0, 1] },
      { tier: 22, nodes: [2] },
    ],
  });
  const [payer, added] = plan.zones;
  expect(added).toMatchObject({
    node: 2,
    zone: "Movable",
    before: { present: 0 },
    after: { present: 896 * MIB, managed: 896 * MIB, free: 896 * MIB },
  });
  expect(payer).toMatchObject({ node: 0, zone: "DMA32" });
  expect((payer?.before.free ?? 0) - (payer?.after.free ?? 0)).toBe(14 * MIB);
  expect(plan.blocks.map(({ block }) => block)).toEqual([33, 34, 35, 36, 37, 38, 39]);
  expect(plan.blocks.every(({ canGoOffline }) => canGoOffline)).toBe(true);
  expect(plan.ratio.advice).toContain("safe");
});

test("what the kernel may use is not promised to go offline, and the plan says why", () => {
  const plan = planOf("kernel");
  expect(plan.zones.at(-1)).toMatchObject({ node: 2, zone: "Normal" });
  expect(plan.blocks[0]).toMatchObject({ canGoOffline: false, zone: "Normal" });
  expect(plan.blocks[0]?.why).toContain("nothing can move");
  expect(plan.commands.at(-1)).toBe("daxctl reconfigure-device --mode=system-ram --no-movable dax0.0");
});

test("a plan warns of what is lost, wasted, kept at rest, and can't be undone", () => {
  const { warnings, tiers } = planOf("movable", "v5.1");
  expect(warnings.join("\n")).toMatch(
    /is lost(.|\n)*110 MiB of the device are wasted(.|\n)*stays until the next boot(.|\n)*mlock/,
  );
  expect(tiers).toEqual([]);
});

test("what is free of a region becomes a namespace first, and a device that is there is taken as it is", () => {
  expect(planOn(serverPmem(), "region0")).toMatchObject({
    namespace: { name: "namespace0.0", size: 4096 * MIB },
    commands: [
      "ndctl create-namespace -r region0 -m devdax",
      "daxctl reconfigure-device --mode=system-ram dax0.0",
    ],
  });
  const set = planOn(serverPmem(), "dax1.0");
  expect(set.commands).toHaveLength(1);
  expect([set.structPagesBefore.bytes, set.structPages.bytes]).toEqual([8 * MIB, 32 * MIB]);
});

test("blocks that the kernel takes online by itself are where it put them, and daxctl has to be forced", () => {
  const plan = planOn(serverPmem({ memhp_default_state: "online_kernel", memmap_on_memory: true }), "dax1.0");
  expect(plan.blocks.every(({ zone, canGoOffline }) => zone === "Normal" && !canGoOffline)).toBe(true);
  expect(plan.commands.at(-1)).toMatch(/ -f dax1\.0$/);
  expect(plan.warnings.join("\n")).toMatch(/memmap_on_memory is on(.|\n)*by itself \(online_kernel\)/);
});

test("blocks with bad memory that can't be cleared are not in the plan, and it says so", () => {
  const spec = serverPmem();
  const { nvdimm } = spec;
  if (!nvdimm) throw new Error("the fixture has persistent memory");
  const machine = createMachine({ ...spec, nvdimm: { ...nvdimm, firmware: "labels" } });
  machine.devices.nvdimm?.badrange.add(0x3_8000_0000, 0x3_8000_0100);
  const plan = planSystemRam(machine, { device: "region0", zone: "movable" });
  expect(plan).toMatchObject({ bad: 128 * MIB, added: 4096 * MIB - 256 * MIB });
  expect(plan.blocks.map(({ start }) => start)).not.toContain(0x3_8000_0000);
  expect(plan.warnings.join("\n")).toContain("128 MiB stay out");
});

test("a large device on a small machine is warned of, or refused for its struct pages", () => {
  const large = (memory: string, mode: "region0" | "dax1.0"): Plan =>
    planOn(
      machineOfYaml(
        `name: large\nnodes:\n  - { memory: ${memory}, cpus: 0 }\n  - { cpus: [] }\ndevices:\n` +
          "  - { name: Persistent Memory, start: 0x4000000000, size: 32G, node: 1, modules: 1 }\n" +
          "  - { name: Soft Reserved, start: 0x10000000000, size: 32G, node: 1 }\n",
        "large.yaml",
        "v6.1",
      ),
      mode,
    );
  const plan = large("2G", "region0");
  expect(plan.warnings.join("\n")).toMatch(
    /514 MiB of namespace0\.0 keep struct pages(.|\n)*take 502 MiB of the (.|\n)*more than four times/,
  );
  expect(plan.ratio.advice).toMatch(/^risky/);
  expect(() => large("640M", "region0")).toThrow(
    /^ENOMEM: dax0\.0 can't become RAM here: its struct pages need 504 MiB, and \d+ MiB of the kernel's memory are free$/,
  );
});
