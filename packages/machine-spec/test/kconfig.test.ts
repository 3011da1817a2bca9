import { describe, expect, test } from "vitest";
import { checkKconfig, type KconfigName, kernelConfig } from "../src/kconfig.ts";
import { machineOfYaml } from "../src/yaml.ts";

const refusals = (...names: string[]): string[] => checkKconfig(names).map(({ message }) => message);
const HOTPLUG = ["CONFIG_MEMORY_HOTPLUG", "CONFIG_MEMORY_HOTREMOVE", "CONFIG_SPARSEMEM_VMEMMAP"];

describe("kernel options that Kconfig forbids together", () => {
  test("deferred struct pages and per-cpu areas in kernel memory exclude one another", () => {
    expect(refusals("CONFIG_DEFERRED_STRUCT_PAGE_INIT", "CONFIG_NEED_PER_CPU_KM")).toEqual([
      expect.stringMatching(
        /^CONFIG_DEFERRED_STRUCT_PAGE_INIT can't be set together with CONFIG_NEED_PER_CPU_KM: .*; remove one of them$/,
      ),
    ]);
    expect(refusals("CONFIG_DEFERRED_STRUCT_PAGE_INIT")).toEqual([]);
  });

  test("private device memory needs ZONE_DEVICE, which needs all of hotplug and a virtual memmap", () => {
    expect(refusals(...HOTPLUG, "CONFIG_DEVICE_PRIVATE")).toEqual([
      expect.stringMatching(/^CONFIG_DEVICE_PRIVATE needs CONFIG_ZONE_DEVICE/),
    ]);
    expect(refusals(...HOTPLUG, "CONFIG_ZONE_DEVICE", "CONFIG_DEVICE_PRIVATE")).toEqual([]);
    for (const missing of HOTPLUG) {
      const left = [...HOTPLUG.filter((name) => name !== missing), "CONFIG_ZONE_DEVICE"];
      expect(refusals(...left).join(), missing).toContain(
        `CONFIG_ZONE_DEVICE needs ${missing}, which is not set`,
      );
    }
    expect(refusals(...HOTPLUG, "ZONE_DEVICE", "ARCH_HAS_PTE_DEVMAP=n").join()).toContain(
      "needs CONFIG_ARCH_HAS_PTE_DEVMAP",
    );
  });

  test("removing memory needs adding it, and a mirror needs page tables", () => {
    expect(refusals("MEMORY_HOTREMOVE").join()).toContain(
      "CONFIG_MEMORY_HOTREMOVE needs CONFIG_MEMORY_HOTPLUG",
    );
    expect(refusals("HMM_MIRROR")).toEqual([]);
    expect(refusals("HMM_MIRROR", "MMU=n").join()).toContain("CONFIG_HMM_MIRROR needs CONFIG_MMU");
  });

  test("an option that is set to n asks for nothing", () => {
    expect(refusals("ZONE_DEVICE=n", "DEVICE_PRIVATE=n")).toEqual([]);
  });

  test("a spec with such a set is refused where the option stands", () => {
    const text = "nodes:\n  - { memory: 1G, cpus: 0 }\noptions:\n  kconfig:\n    - CONFIG_DEVICE_PRIVATE\n";
    expect(() => machineOfYaml(text, "m.yaml")).toThrow(
      /^EINVAL: m\.yaml:5: options\.kconfig\[0\]: CONFIG_DEVICE_PRIVATE needs CONFIG_ZONE_DEVICE/,
    );
  });
});

describe("names of options", () => {
  test("an option that no machine has is refused with the nearest", () => {
    expect(refusals("CONFIG_MEMROY_HOTPLUG")).toEqual([
      expect.stringMatching(
        /^CONFIG_MEMROY_HOTPLUG is no option of a machine \(did you mean CONFIG_MEMORY_HOTPLUG\?\); remove it, or write one of /,
      ),
    ]);
    expect(refusals("CONFIG_SND")).toEqual([expect.stringMatching(/^CONFIG_SND is no option of a machine/)]);
  });

  test("an option is set by y or m, and cleared by n; another value is refused", () => {
    expect(refusals("DEV_DAX=m", "PSI=n", "SWAP=y")).toEqual([]);
    expect(refusals("DEV_DAX=maybe")).toEqual(["CONFIG_DEV_DAX=maybe can't be; write y, m or n"]);
  });

  test("what every modelled kernel has can't be cleared", () => {
    expect(refusals("CONFIG_64BIT=n")).toEqual([
      "CONFIG_64BIT is set on every kernel that hetmem models; remove 64BIT=n",
    ]);
  });
});

describe("the options of a kernel", () => {
  const RELEASE: ReadonlySet<KconfigName> = new Set([
    "MEMORY_HOTPLUG",
    "MEMORY_HOTREMOVE",
    "ZONE_DEVICE",
    "DEVICE_PRIVATE",
    "NVDIMM_PFN",
    "NVDIMM_DAX",
    "CGROUPS",
    "MEMCG",
    "MEMCG_KMEM",
  ]);
  const of = (...names: string[]): string[] => [...kernelConfig(names, RELEASE)].sort();

  test("without a list they are those of the release", () => {
    expect(of()).toEqual([...RELEASE].sort());
  });

  test("what needs an option goes with it", () => {
    expect(of("MEMORY_HOTREMOVE=n")).toEqual(["CGROUPS", "MEMCG", "MEMCG_KMEM", "MEMORY_HOTPLUG"]);
    expect(of("CONFIG_MEMCG=n")).not.toContain("MEMCG_KMEM");
  });

  test("an option that is named is added, and the last word counts", () => {
    expect(of("PSI")).toContain("PSI");
    expect(of("PSI=y", "PSI=n")).not.toContain("PSI");
    expect(of("PSI=n", "PSI")).toContain("PSI");
  });
});
