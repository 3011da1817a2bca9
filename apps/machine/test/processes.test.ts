// Programs and processes on a whole machine: what they cost, what is left of them, and who answers for their pages.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assertInvariants, nodeId, type Pfn, run } from "@hetmem/kernel";
import { vmInvariants } from "@hetmem/mm";
import { allZones, Gfp, GFP_KERNEL, VmEvent } from "@hetmem/zone";
import { describe, expect, test } from "vitest";
import { writeTree } from "../src/export/write-tree.ts";
import { createMachine, type Machine } from "../src/machine.ts";
import { machineOfYaml, type MachineSpec, type ProfileName } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

const MEMORY = "/sys/devices/system/memory";
const ONE_NODE = "nodes:\n  - { memory: { start: 0, end: 256M }, cpus: 0-1 }\n";

function boot(yaml = ONE_NODE, profile: ProfileName = "v6.1") {
  return booted(machineOfYaml(yaml, "m.yaml", profile));
}

function booted(spec: MachineSpec) {
  const machine = createMachine(spec);
  const shell = new Shell(machine, PROGRAMS);
  const sh = (line: string) => run(shell.execute(line));
  return { machine, sh, out: (line: string) => sh(line).output };
}

function freePages({ memory }: Machine): number {
  let pages = 0;
  for (const zone of allZones(memory))
    pages += zone.freePages + zone.pcp.reduce((sum, { count }) => sum + count, 0);
  return pages;
}

describe("a program that runs", () => {
  test("is /proc/self, with busybox's mappings", () => {
    const { out } = boot();
    expect(out("cat /proc/self/comm")).toBe("cat\n");
    expect(out("cat /proc/self/maps")).toMatch(
      /^00400000-00401000 r--p 00000000 08:01 177 +\/bin\/busybox\n/,
    );
    expect(out("readlink /proc/self; ls /proc/self/maps")).toMatch(/^\d+\n\/proc\/self\/maps\n$/);
  });

  test("costs page tables, a stack and pages of its own, and gives all of them back", () => {
    const { machine, out } = boot();
    out("true; cat /proc/version");
    const before = freePages(machine);
    const kilobytes = Number(/PageTables: +(\d+) kB/.exec(out("cat /proc/meminfo"))?.[1]);
    expect(kilobytes).toBeGreaterThanOrEqual(4 * 8);
    expect(out("grep -E '^(VmStk|VmExe|RssAnon)' /proc/self/status")).toContain("VmStk:\t     132 kB\n");
    expect(freePages(machine)).toBe(before);
    expect([...machine.vm.processes]).toEqual([]);
    assertInvariants(machine.vm, vmInvariants);
  });

  test("is a child of nobody's and has its pages near the second cpu, its tables near the first", () => {
    const { out } = boot(
      "nodes:\n  - { memory: { start: 0, end: 256M }, cpus: 0 }\n  - { memory: { start: 256M, end: 512M }, cpus: 1 }\n",
    );
    expect(out("grep stack /proc/self/numa_maps")).toContain(" N1=1 ");
    const tables = out("grep -h ' PageTables' /sys/devices/system/node/node*/meminfo");
    expect(tables).toMatch(/Node 0 PageTables: +[1-9]\d* kB\n.*Node 1 PageTables: +0 kB/);
  });

  test("that the OOM killer chose is Killed with status 137", () => {
    const { machine, sh } = boot();
    const shell = new Shell(machine, {
      ...PROGRAMS,
      hog: {
        summary: "is killed while it runs",
        *run() {
          const process = [...machine.vm.processes].at(-1);
          process?.deliver({
            signo: "SIGKILL",
            code: "SI_KERNEL",
            address: 0 as never,
            reason: "for a test",
          });
          return 0;
        },
      },
    });
    expect(run(shell.execute("hog"))).toMatchObject({ stderr: "Killed\n", status: 137 });
    expect(sh("pidof hog").status).toBe(1);
  });
});

test("without a program nobody but the shell is in /proc, nor is self", () => {
  const { machine } = boot();
  const names = machine.vfs.list("/proc").map(({ name }) => name);
  expect(names.filter((name) => /^(\d+|self)$/.test(name))).toEqual(["1"]);
});

test("after the last exit all is as it was, whatever was forked, locked, pinned, mapped and swapped", () => {
  const { machine, out } = boot(`${ONE_NODE}swap:\n  - { path: /dev/vdb, size: 64M }\n`);
  out("echo a file of some length > /tmp/f; cat /tmp/f");
  const before = freePages(machine);
  // The page of the file in /tmp stays, and stays promised.
  expect(machine.vm.commit.pages).toBe(1);
  out("proc start a; proc mmap $(pidof a) 4M --populate --at 0x10000000; proc fork $(pidof a)");
  out("proc touch $(pidof -s a) 0x10000000 2M; proc mlock $(pidof -s a) 0x10000000 1M");
  out("proc pin $(pidof -s a) 0x10100000 64K; proc mmap $(pidof -s a) 4K --file /tmp/f --shared");
  out("for pid in $(pidof a); do proc madvise $pid 0x10200000 2M PAGEOUT; done");
  assertInvariants(machine.vm, vmInvariants);
  expect(freePages(machine)).toBeLessThan(before);
  out("kill $(pidof a); cat /proc/version");
  expect(machine.vm.swap.freePages).toBe(machine.vm.swap.totalPages);
  expect(machine.vm.commit.pages).toBe(1);
  expect(freePages(machine)).toBe(before);
  assertInvariants(machine.vm, vmInvariants);
});

describe("who answers for a page", () => {
  test("bad memory of the kernel can't be taken from it, and nobody is told", () => {
    const { machine, sh } = boot();
    const { allocator, memmap } = machine.memory;
    const address = (): string => {
      const page = allocator.allocPages(GFP_KERNEL | Gfp.THISNODE, 0, nodeId(0));
      return (memmap.pageToPfn(page) * 4096).toString(16);
    };
    const refusal = (file: string): string => sh(`echo 0x${address()} > ${MEMORY}/${file}`).stderr;
    expect(refusal("hard_offline_page")).toBe("sh: write error: Device or resource busy\n");
    expect(refusal("soft_offline_page")).toBe("sh: write error: Input/output error\n");
    expect(machine.kernel.log.format()).toContain("recovery action for unknown page: Ignored");
  });

  test("bad memory of a process is its end when it touches it", () => {
    const { machine, sh, out } = boot();
    out("proc start a; proc mmap $(pidof a) 4K --populate --at 0x10000000");
    const entry = Buffer.from(
      out("dd if=/proc/$(pidof a)/pagemap bs=8 skip=65536 count=1 2>/dev/null"),
      "latin1",
    );
    const frame = Number(entry.readBigUInt64LE() & 0x7f_ffff_ffff_ffffn) as Pfn;
    sh(`echo 0x${(frame * 4096).toString(16)} > ${MEMORY}/hard_offline_page`);
    expect(machine.memory.counters.poisonedPages).toBe(1);
    expect(sh("proc read $(pidof a) 0x10000000 1")).toMatchObject({ status: 135 });
    expect(out("pidof a")).toBe("");
  });

  test("a block with pages of a captured host's processes and of ours goes offline: each owner moves his own", () => {
    const yaml = "nodes:\n  - { memory: { start: 0, end: 768M }, cpus: 0 }\noptions: { movablecore: 256M }\n";
    const spec = machineOfYaml(yaml, "m.yaml", "v6.1");
    const captured = {
      node: nodeId(0),
      zone: "Movable",
      reservedPages: 0,
      unmovablePages: 0,
      movablePages: 40_000,
    } as const;
    const bootUsage = [...spec.bootUsage.filter(({ zone }) => zone !== "Movable"), captured];
    const { machine, out } = booted({ ...spec, bootUsage });
    out(
      "proc start a; proc mmap $(pidof a) 1M --populate --at 0x10000000; proc write $(pidof a) 0x10000000 mine",
    );
    const [entry = ""] = out("od -An -tx8 -j $(( 0x10000 * 8 )) -N 8 /proc/$(pidof a)/pagemap").split("\n");
    const block = Math.floor((Number.parseInt(entry.slice(-10), 16) * 4096) / machine.hotplug.blockSize);
    expect(out(`cat ${MEMORY}/memory${block}/valid_zones`)).toBe("Movable\n");
    expect(out(`echo offline > ${MEMORY}/memory${block}/state`)).toBe("");
    expect(machine.memory.allocator.events[VmEvent.pgmigrate_success]).toBeGreaterThan(3000);
    expect(machine.kernel.log.format()).not.toContain("failed to isolate");
    expect(out("proc read $(pidof a) 0x10000000 4")).toContain("mine");
    assertInvariants(machine.vm, vmInvariants);
  });

  test("what is pinned is let go as soon as its process is killed, not when the next program ends", () => {
    const { machine, out } = boot();
    out(
      "proc start a; proc mmap $(pidof a) 4K --at 0x10000000; proc pin $(pidof a) 0x10000000 4K; kill $(pidof a)",
    );
    expect(machine.processes.userSpace?.pins.size).toBe(0);
    assertInvariants(machine.vm, vmInvariants);
  });
});

test.each<[ProfileName, string]>([
  ["v4.14", "gup_benchmark"],
  ["v5.1", "gup_benchmark"],
  ["v6.1", "gup_test"],
])("the kernel's test of pinning has the name of its release in %s: %s", (profile, file) => {
  expect(
    boot(ONE_NODE, profile)
      .machine.vfs.list("/sys/kernel/debug")
      .map(({ name }) => name),
  ).toEqual([file]);
});

describe("a machine file", () => {
  const swap = (areas: string): string => `${ONE_NODE}swap:\n${areas}`;

  test("lists what the machine swaps to, and what is set when it is up", () => {
    const { out } = boot(
      `${swap("  - { path: /dev/vdb, size: 1G, priority: 7 }\n")}sysctl: { vm.swappiness: 10 }\n`,
    );
    expect(out("swapon --show")).toBe(
      "NAME     TYPE          SIZE USED PRIO\n/dev/vdb partition 1048572K    0    7\n",
    );
    expect(out("cat /proc/sys/vm/swappiness; grep -E '^Swap' /proc/meminfo")).toBe(
      "10\nSwapCached:            0 kB\nSwapTotal:       1048572 kB\nSwapFree:        1048572 kB\n",
    );
  });

  test.each([
    ["  - { path: /dev/a, size: 4K }\n", /^EINVAL: m\.yaml:4: swap\S* .*ten pages at least/],
    [
      "  - { path: /dev/a, size: 1M }\n  - { path: /dev/a, size: 1M }\n",
      /m\.yaml:5: .*\/dev\/a is there already/,
    ],
    ["  - { path: /dev/a }\n", /m\.yaml:4: .*is missing/],
  ])("with swap areas %j is refused", (areas, sentence) => {
    expect(() => machineOfYaml(swap(areas), "m.yaml")).toThrow(sentence);
  });

  test("that sets what the kernel doesn't have is refused with the file's name", () => {
    expect(() => boot(`${ONE_NODE}sysctl: { vm.nonsense: 1 }\n`)).toThrow(
      /^ENOENT: .*\/proc\/sys\/vm\/nonsense/,
    );
  });
});

test("an exported tree has a folder for each process, with a pagemap that can't be copied whole", () => {
  const { machine, out } = boot();
  const pid = out("proc start a").trim();
  const folder = mkdtempSync(join(tmpdir(), "hetmem-"));
  try {
    writeTree(machine.vfs, join(folder, "tree"));
    const read = (name: string): string => readFileSync(join(folder, "tree/proc", pid, name), "utf8");
    expect(read("comm")).toBe("a\n");
    expect(read("maps")).toContain("[stack]");
    expect(read("pagemap")).toBe("");
    expect(existsSync(join(folder, "tree/proc/self"))).toBe(false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
