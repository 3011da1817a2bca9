// Kernel options of a machine file: each adds or removes its part of the machine, with the files and errnos of that.
import { GiB, MiB, nodeId, physAddr, run } from "@hetmem/kernel";
import { DevPagemap, MemoryType } from "@hetmem/memremap";
import { machineOfYaml } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { PROGRAMS } from "../src/programs/index.ts";

const FILE = `
nodes:
  - { memory: 1G, cpus: 0 }
  - { }
hidden: [{ start: 4G, size: 1G }]
devices:
  - { name: Persistent Memory, start: 8G, size: 1G, node: 1, modules: 1 }
  - { name: Soft Reserved, start: 12G, size: 1G, node: 1 }
gpus: [{ size: 16M }]
`;

function shellOf(kconfig: string, profile: "v4.14" | "v5.1" | "v6.1" = "v6.1"): (line: string) => string {
  const spec = machineOfYaml(`${FILE}options: { kconfig: [${kconfig}] }\n`, "kconfig.yaml", profile);
  const shell = new Shell(createMachine(spec), PROGRAMS);
  return (line) => run(shell.execute(line)).output;
}

const MEMORY = "/sys/devices/system/memory";

test("without MEMORY_HOTREMOVE no block goes offline, none is removable, and valid_zones isn't there", () => {
  const sh = shellOf("MEMORY_HOTREMOVE=n");
  expect(sh(`echo offline > ${MEMORY}/memory7/state`)).toContain("Invalid argument");
  expect(sh(`cat ${MEMORY}/memory7/state ${MEMORY}/memory7/removable`)).toBe("online\n0\n");
  expect(sh(`cat ${MEMORY}/memory7/valid_zones`)).toContain("No such file");
  expect(sh(`echo 4294967296 > ${MEMORY}/probe; cat ${MEMORY}/memory32/state`)).toBe("offline\n");
});

test("without MEMORY_HOTREMOVE there is no ZONE_DEVICE, so that nothing of a device has struct pages", () => {
  const sh = shellOf("MEMORY_HOTREMOVE=n");
  expect(sh("grep -c Device /proc/zoneinfo; grep -c _device /proc/vmstat")).toBe("0\n0\n");
  expect(
    sh("ls -d /sys/bus/dax/devices/dax1.0/driver 2>&1; echo dax1.0 > /sys/bus/dax/drivers/device_dax/bind"),
  ).toMatch(/No such file or directory\n.*No such device or address\n$/);
});

test("memory that kmem added stays when the driver lets go, without MEMORY_HOTREMOVE", () => {
  const sh = shellOf("MEMORY_HOTREMOVE=n");
  sh("echo dax1.0 > /sys/bus/dax/drivers/kmem/new_id; echo dax1.0 > /sys/bus/dax/drivers/kmem/bind");
  expect(sh(`cat ${MEMORY}/memory96/state`)).toBe("offline\n");
  sh("echo dax1.0 > /sys/bus/dax/drivers/kmem/unbind");
  expect(sh(`cat ${MEMORY}/memory96/state`)).toBe("offline\n");
});

test("without MEMORY_HOTPLUG there are no memory blocks and no module memory_hotplug", () => {
  const sh = shellOf("MEMORY_HOTPLUG=n");
  expect(sh(`ls ${MEMORY} /sys/module/memory_hotplug /sys/bus/memory 2>&1 | grep -c "No such file"`)).toBe(
    "3\n",
  );
  expect(sh("ls /sys/devices/system/node/node0 | grep -c memory")).toBe("0\n");
  expect(sh("ls /sys/bus/dax/drivers")).toBe("device_dax\n");
});

test("MEMORY_HOTPLUG_DEFAULT_ONLINE takes added blocks online, unless the command line says otherwise", () => {
  const sh = shellOf("MEMORY_HOTPLUG, MEMORY_HOTPLUG_DEFAULT_ONLINE");
  expect(sh(`cat ${MEMORY}/auto_online_blocks`)).toBe("online\n");
  expect(sh(`echo 4294967296 > ${MEMORY}/probe; cat ${MEMORY}/memory32/state`)).toBe("online\n");
});

test("without ARCH_MEMORY_PROBE no memory is added by hand", () => {
  expect(shellOf("ARCH_MEMORY_PROBE=n")(`ls ${MEMORY} | grep -c probe`)).toBe("0\n");
});

test("without MHP_MEMMAP_ON_MEMORY the module has no such parameter", () => {
  const sh = shellOf("MHP_MEMMAP_ON_MEMORY=n");
  expect(sh("ls /sys/module/memory_hotplug/parameters")).not.toContain("memmap_on_memory");
  expect(sh("ls /sys/module/memory_hotplug/parameters")).toContain("online_policy");
});

test("without MEMORY_FAILURE nothing injects bad memory, and meminfo doesn't count it", () => {
  const sh = shellOf("MEMORY_FAILURE=n");
  expect(sh(`ls ${MEMORY} | grep -c offline_page; grep -c HardwareCorrupted /proc/meminfo`)).toBe("0\n0\n");
  expect(sh("P=$(proc start a); A=$(proc mmap $P 1M --populate); proc madvise $P $A 4K HWPOISON")).toMatch(
    /EINVAL|Invalid argument/,
  );
});

test("without DEVICE_PRIVATE no pagemap of private memory is made, and the driver that needs one isn't there", () => {
  const spec = machineOfYaml(`${FILE}options: { kconfig: [DEVICE_PRIVATE=n] }\n`, "kconfig.yaml", "v6.1");
  const { devices } = createMachine(spec);
  const pagemap = new DevPagemap({
    type: MemoryType.DevicePrivate,
    name: "private",
    ranges: [{ start: physAddr(16 * GiB), size: 128 * MiB }],
    ops: {
      pageFree() {},
      *migrateToRam() {
        return 0;
      },
    },
    owner: "test",
  });
  expect(() => run(devices.pagemaps.memremapPages(pagemap, nodeId(0)))).toThrow(
    /^EINVAL: this kernel has no MEMORY_DEVICE_PRIVATE/,
  );
  expect([...devices.gpus.all.keys()]).toEqual([]);
});

test("without DEVICE_PUBLIC, in the releases that had it, coherent memory has no type", () => {
  const coherent = FILE.replace("{ size: 16M }", "{ size: 16M, memory: coherent, start: 16G }");
  const of = (options: string): string => {
    const spec = machineOfYaml(`${coherent}options: { ${options} }\n`, "kconfig.yaml", "v4.14");
    const shell = new Shell(createMachine(spec), PROGRAMS);
    return run(shell.execute("dmesg | grep -c 'probe of gpu0 failed'")).output;
  };
  expect([of(""), of("kconfig: [DEVICE_PUBLIC=n]")]).toEqual(["0\n", "1\n"]);
});

test.each(["HMM_MIRROR", "TEST_HMM"])("without %s no driver takes a gpu, and the log says so", (option) => {
  const sh = shellOf(`${option}=n`);
  expect(sh("ls /dev | grep -c gpu; ls /sys/kernel/debug | grep -c gpu")).toBe("0\n0\n");
  expect(sh("dmesg | grep gpu0")).toContain("gpu0: no driver took it");
});

test("without DEV_DAX a device has no file, and without a driver it can still become RAM", () => {
  const sh = shellOf("DEV_DAX=n, DEV_DAX_KMEM=n");
  expect(sh("ls /sys/bus/dax/drivers")).toBe("");
  expect(sh("ls /sys/bus/dax/devices")).toBe("");
});

test("without DEV_DAX_KMEM no dax device becomes RAM", () => {
  const sh = shellOf("DEV_DAX_KMEM=n");
  expect(sh("ls /sys/bus/dax/drivers")).toBe("device_dax\n");
  expect(sh("daxctl reconfigure-device -m system-ram dax1.0")).toMatch(/error|failed/);
});

test("without DEV_DAX_HMEM soft-reserved memory makes no dax device", () => {
  expect(shellOf("DEV_DAX_HMEM=n")("ls /sys/bus/dax/devices | grep -c dax1")).toBe("0\n");
});

test.each([
  ["NVDIMM_PFN", "\n\n"],
  ["NVDIMM_DAX", "pfn0.0\n\n"],
])("without %s a region has no seed for it", (option, seeds) => {
  const sh = shellOf(`${option}=n`);
  expect(sh("cd /sys/bus/nd/devices/region0; cat pfn_seed dax_seed")).toBe(seeds);
});

test("without MEMCG no memory.* file is there, and /proc/cgroups lists no controller", () => {
  const sh = shellOf("MEMCG=n");
  sh("mkdir /sys/fs/cgroup/a");
  expect(sh("ls /sys/fs/cgroup/a | grep -c memory; cat /sys/fs/cgroup/cgroup.controllers")).toBe("0\n");
  expect(sh("grep -c memory /proc/cgroups; ls /proc/pressure 2>&1 | grep -c 'No such'")).toBe("0\n1\n");
});

test("without MEMCG_KMEM page tables and stacks are charged to nobody", () => {
  const kernel = (kconfig: string): number => {
    const sh = shellOf(kconfig);
    sh(
      "echo +memory > /sys/fs/cgroup/cgroup.subtree_control; mkdir /sys/fs/cgroup/a; echo $$ > /sys/fs/cgroup/a/cgroup.procs; proc start p",
    );
    return Number(sh("cat /sys/fs/cgroup/a/memory.stat | grep -E '^kernel ' | cut -d' ' -f2"));
  };
  expect(kernel("MEMCG_KMEM=n")).toBe(0);
  expect(kernel("")).toBeGreaterThan(0);
});

test("without CGROUPS nothing is mounted for them", () => {
  const sh = shellOf("CGROUPS=n");
  expect(sh("ls /proc/cgroups /sys/fs/cgroup /proc/1/cgroup 2>&1 | grep -c 'No such'")).toBe("3\n");
});

test("without PSI there is no pressure file", () => {
  const sh = shellOf("PSI=n");
  sh("mkdir /sys/fs/cgroup/a");
  expect(sh("ls /proc/pressure 2>&1 | grep -c 'No such'; ls /sys/fs/cgroup/a | grep -c pressure")).toBe(
    "1\n0\n",
  );
});

test("without NUMA_BALANCING there is no switch of it and no count", () => {
  const sh = shellOf("NUMA_BALANCING=n");
  expect(
    sh(
      "ls /proc/sys/kernel/numa_balancing 2>&1 | grep -c 'No such'; grep -c numa_hint /proc/vmstat; grep -c numa_hit /proc/vmstat",
    ),
  ).toBe("1\n0\n1\n");
  expect(promotions(sh)).toBe("0\n0\n0\n");
  expect(promotions(shellOf(""))).toBe("2\n2\n2\n");
});

/** Lines about promotion of the files that count by node. */
function promotions(sh: (line: string) => string): string {
  return sh(
    "grep -c pgpromote /proc/vmstat; grep -c pgpromote /sys/devices/system/node/node0/vmstat; grep -c pgpromote /proc/zoneinfo",
  );
}

test("without TRANSPARENT_HUGEPAGE no page is huge, advice about them is EINVAL, and device-dax goes, too", () => {
  const sh = shellOf("TRANSPARENT_HUGEPAGE=n");
  expect(
    sh("ls /sys/kernel/mm | grep -c transparent; grep -c AnonHuge /proc/meminfo; grep -c thp_ /proc/vmstat"),
  ).toBe("0\n0\n0\n");
  expect(sh("P=$(proc start a); A=$(proc mmap $P 4M); proc madvise $P $A 4M HUGEPAGE")).toMatch(
    /EINVAL|Invalid argument/,
  );
  expect(sh("ls /sys/bus/dax/drivers")).toBe("");
});

test.each([
  ["TRANSPARENT_HUGEPAGE", "_thp|thp_", "5\n3\n0\n"],
  ["SWAP", "swapcached|memory.swap", "1\n1\n4\n"],
])("without %s cgroups have no line and no file of it", (option, names, lines) => {
  const counts = (kconfig: string): string =>
    shellOf(kconfig)(
      `echo +memory > /sys/fs/cgroup/cgroup.subtree_control; mkdir /sys/fs/cgroup/a; cd /sys/fs/cgroup/a; grep -c -E '${names}' memory.stat; grep -c -E '${names}' memory.numa_stat; ls | grep -c -E '${names}'`,
    );
  expect([counts(""), counts(`${option}=n`)]).toEqual([lines, "0\n0\n0\n"]);
});

test("without TRANSPARENT_HUGEPAGE the legacy memory.stat has no rss_huge", () => {
  const huge = (kconfig: string): string => {
    const file = `nodes: [{ memory: 64M, cpus: 0 }]\ncgroup: v1\noptions: { kconfig: [${kconfig}] }\n`;
    const shell = new Shell(createMachine(machineOfYaml(file, "legacy.yaml", "v6.1")), PROGRAMS);
    return run(shell.execute("grep -c rss_huge /sys/fs/cgroup/memory/memory.stat")).output;
  };
  expect([huge(""), huge("TRANSPARENT_HUGEPAGE=n")]).toEqual(["2\n", "0\n"]);
});

test("without HUGETLB_PAGE there is no pool of huge pages", () => {
  const sh = shellOf("HUGETLB_PAGE=n");
  expect(
    sh(
      "ls /proc/sys/vm | grep -c hugepages; ls /sys/kernel/mm | grep -c hugepages; grep -ci hugepages_ /proc/meminfo",
    ),
  ).toBe("0\n0\n0\n");
  expect(
    sh(
      "ls /sys/devices/system/node/node0 | grep -c hugepages; grep -c HugePages_ /sys/devices/system/node/node0/meminfo",
    ),
  ).toBe("0\n0\n");
});

test("without SWAP there is no /proc/swaps, and an area of the machine file is refused", () => {
  const sh = shellOf("SWAP=n");
  expect(sh("ls /proc/swaps")).toContain("No such file");
  expect(sh("swapon --size 16M /dev/vda")).toContain("swapon failed: Function not implemented\n");
  expect(sh("grep -c swap_ra /proc/vmstat; grep -c swapcached /proc/vmstat /proc/zoneinfo")).toBe(
    "0\n/proc/vmstat:0\n/proc/zoneinfo:0\n",
  );
  expect(() =>
    createMachine(
      machineOfYaml(
        `${FILE}swap: [{ path: /dev/vda, size: 16M }]\noptions: { kconfig: [SWAP=n] }\n`,
        "k.yaml",
      ),
    ),
  ).toThrow(/^ENOSYS: /);
});

test("without GUP_TEST debugfs has no gup_test", () => {
  expect(shellOf("GUP_TEST=n")("ls /sys/kernel/debug | grep -c gup_test")).toBe("0\n");
});

test("an option of another release is refused, and what was given is said", () => {
  expect(() => shellOf("MEMORY_HOTPLUG, DEV_DAX, DEV_DAX_KMEM", "v4.14")).toThrow(
    /^EINVAL: the kernel of profile v4\.14 has no CONFIG_DEV_DAX_KMEM: choose another profile, or remove it$/,
  );
});
