import { hugetlbTables } from "@hetmem/hugetlb";
import { MiB, run } from "@hetmem/kernel";
import { khugepagedTables } from "@hetmem/khugepaged";
import { demotionTable, numaBalancingTable } from "@hetmem/migrate";
import { fileRead, pageCacheTables } from "@hetmem/page-cache";
import { reclaimTables, swapSpace } from "@hetmem/reclaim";
import { changedCounters } from "@hetmem/test-machines/counters";
import { diskFile } from "@hetmem/test-machines/files";
import { vmMachine } from "@hetmem/test-machines/vm-machine";
import { Vfs } from "@hetmem/vfs";
import { expect, test } from "vitest";
import { vmTables } from "../src/procfs.ts";

function administrator() {
  const machine = vmMachine();
  const vfs = new Vfs();
  const { vm } = machine;
  const tables = [
    vmTables(vm),
    pageCacheTables(vm, () => ({ pid: 7, comm: "sysctl" })),
    reclaimTables(vm),
    hugetlbTables(vm),
    khugepagedTables(vm),
    demotionTable(vm),
    numaBalancingTable(vm),
  ];
  for (const table of tables.flat()) vfs.mount(table);
  return {
    vm: machine.vm,
    read: (path: string) => machine.run(vfs.read(path)),
    write: (path: string, text: string) => machine.run(vfs.write(path, text)),
  };
}

const SWAPPINESS = "/proc/sys/vm/swappiness";

test("the files of a machine that nobody has set up hold the kernel's defaults", () => {
  const { read } = administrator();
  expect(read(SWAPPINESS)).toBe("60\n");
  expect(read("/proc/sys/vm/max_map_count")).toBe("65530\n");
  expect(read("/proc/sys/vm/overcommit_memory")).toBe("0\n");
  expect(read("/proc/sys/vm/overcommit_ratio")).toBe("50\n");
  expect(read("/proc/sys/vm/mmap_min_addr")).toBe("65536\n");
  expect(read("/proc/sys/vm/oom_kill_allocating_task")).toBe("0\n");
  expect(read("/proc/sys/kernel/numa_balancing")).toBe("0\n");
  expect(read("/sys/kernel/mm/numa/demotion_enabled")).toBe("false\n");
  expect(read("/sys/kernel/mm/transparent_hugepage/enabled")).toBe("always [madvise] never\n");
  expect(read("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")).toBe("2097152\n");
});

test("what is written is what the machine goes by", () => {
  const { vm, write } = administrator();
  write(SWAPPINESS, "200\n");
  write("/proc/sys/vm/overcommit_memory", "2");
  write("/proc/sys/vm/oom_kill_allocating_task", "-7\n");
  write("/sys/kernel/mm/numa/demotion_enabled", "1\n");
  write("/sys/kernel/mm/transparent_hugepage/enabled", "never\n");
  expect(vm.tunables).toMatchObject({
    swappiness: 200,
    overcommitMemory: 2,
    oomKillAllocatingTask: true,
    demotionEnabled: true,
    transparentHugepage: "never",
  });
});

test("a sysctl takes any base and the first number only, with white space around it", () => {
  const { vm, write } = administrator();
  for (const [text, value] of [
    ["  0x20\n", 32],
    ["010", 8],
    ["7 8\n", 7],
    ["0\t\n", 0],
  ] as const) {
    write(SWAPPINESS, text);
    expect(vm.tunables.swappiness).toBe(value);
  }
});

test("a sysctl that is out of bounds or no number is EINVAL and changes nothing", () => {
  const { vm, write } = administrator();
  for (const bad of ["201", "-1", "ten", "5k", "08", "\n", "99999999999999999999"])
    expect(() => write(SWAPPINESS, bad)).toThrow(/EINVAL/);
  expect(() => write("/proc/sys/vm/max_map_count", "2147483648")).toThrow(/EINVAL/);
  expect(() => write("/proc/sys/vm/overcommit_memory", "3")).toThrow(/EINVAL/);
  expect(vm.tunables).toMatchObject({ swappiness: 60, maxMapCount: 65_530, overcommitMemory: 0 });
});

test("a huge page mode is one of three words", () => {
  const { vm, write } = administrator();
  const path = "/sys/kernel/mm/transparent_hugepage/enabled";
  for (const bad of ["sometimes", "[always]", "always ", "never\n\n"])
    expect(() => write(path, bad)).toThrow(/EINVAL/);
  expect(vm.tunables.transparentHugepage).toBe("madvise");
});

test("a demotion switch is yes or no", () => {
  const { write } = administrator();
  expect(() => write("/sys/kernel/mm/numa/demotion_enabled", "maybe")).toThrow(/EINVAL/);
});

test("/proc/swaps lists what is swapped to, in columns of tabs", () => {
  const { vm, read } = administrator();
  expect(read("/proc/swaps")).toBe("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
  swapSpace(vm).swapon({ path: "/dev/vda", size: 64 * MiB });
  expect(read("/proc/swaps").split("\n")[1]).toBe(
    "/dev/vda                                partition\t65532\t\t0\t\t-2",
  );
});

test("drop_caches drops pages of files for 1 and 3, can't be read, and takes 1 to 4", () => {
  const { read, vm, write } = administrator();
  const { file } = diskFile(vm, 4);
  const dropped = (what: string): Readonly<Record<string, number>> => {
    run(fileRead(file, 0, 1));
    return changedCounters(vm, () => write("/proc/sys/vm/drop_caches", what));
  };
  const pages = { nr_file_pages: -4, nr_inactive_file: -4, nr_zone_inactive_file: -4 };
  expect(dropped("1\n")).toEqual({ drop_pagecache: 1, ...pages });
  expect(dropped("2\n")).toEqual({ drop_slab: 1 });
  expect(dropped("3\n")).toEqual({ drop_pagecache: 1, drop_slab: 1, ...pages });
  expect(() => dropped("5\n")).toThrow("EINVAL");
  expect(() => read("/proc/sys/vm/drop_caches")).toThrow("EACCES");
});

test("each write to drop_caches is told in the log with its writer, until one has had bit 2", () => {
  const { vm, write } = administrator();
  for (const what of ["1\n", "3\n", "4\n", "1\n"]) write("/proc/sys/vm/drop_caches", what);
  const told = vm.kernel.log.records.map(({ text }) => text).filter((text) => text.includes("drop_caches"));
  expect(told).toEqual([
    "sysctl (7): drop_caches: 1",
    "sysctl (7): drop_caches: 3",
    "sysctl (7): drop_caches: 4",
  ]);
});
