import { MiB, nodeId, type Page, run, type Sleeps } from "@hetmem/kernel";
import { defaultPagemapPolicies } from "@hetmem/memremap";
import { type FaultContext, trylockPage, type VmFault } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { isDevicePrivate } from "@hetmem/page-table";
import { formatIomem, IORES_DESC_DEVICE_PRIVATE_MEMORY, requestRegion } from "@hetmem/resource";
import { expect, test } from "vitest";
import {
  createMigratePfns,
  type HmmDevmem,
  hmmDevmemAdd,
  hmmDevmemAddResource,
  hmmDevmemRemove,
  migratePfnToPage,
  migrates,
  migrateVma,
  type MigrateVmaOps,
  setMigrateDst,
} from "../src/index.ts";
import {
  BASE,
  entryAt,
  migrateMachine,
  type MigrateMachine,
  pageAt,
  read,
  write,
} from "@hetmem/test-machines/migrate-machine";
import { PAGE, mmOf, withMmapLock } from "@hetmem/test-machines/vm-machine";

const DEVICE = { name: "hmm_dummy", node: undefined };
/** The top of the machine's physical addresses. */
const TOP = 2 ** 36;

function iomemOf({ iomem }: MigrateMachine): string {
  return formatIomem(iomem, { privileged: true });
}

/** A driver of 2017: it moves what it is asked to, and what the cpu touches back. */
class Driver {
  readonly machine: MigrateMachine;
  readonly idle: Page[] = [];
  readonly mapped: number[] = [];
  devmem: HmmDevmem | undefined;

  constructor(machine: MigrateMachine) {
    this.machine = machine;
  }

  *add(size: number): Sleeps<HmmDevmem> {
    const devmem = yield* hmmDevmemAdd(
      this.machine.pagemaps,
      {
        free: (_devmem, page) => void this.idle.push(page),
        fault: (_devmem, fault, page) => this.fault(fault, page),
      },
      DEVICE,
      size,
    );
    this.devmem = devmem;
    for (let i = 7; i >= 0; i--)
      this.idle.push(this.machine.memmap.pfnToPage((devmem.pfnFirst + i) as never));
    return devmem;
  }

  get toDevice(): MigrateVmaOps<undefined> {
    return this.ops(() => {
      const page = this.idle.pop();
      return page === undefined ? page : this.devmem?.take(page);
    });
  }

  get toRam(): MigrateVmaOps<undefined> {
    return this.ops(() => {
      const page = this.machine.memory.allocator.allocPages(0, 0, nodeId(0));
      trylockPage(this.machine.memmap, page);
      return page;
    });
  }

  *fault({ vma, address }: FaultContext, faultPage: Page): Sleeps<VmFault> {
    const area = { vma, start: address, end: (address + PAGE) as typeof address };
    const [src, dst] = [createMigratePfns(1), createMigratePfns(1)];
    yield* migrateVma(this.toRam, { ...area, src, dst, faultPage }, undefined);
    return 0;
  }

  private ops(alloc: () => Page | undefined): MigrateVmaOps<undefined> {
    const { machine, mapped } = this;
    return {
      *allocAndCopy(_vma, src, dst) {
        for (let i = 0; i < src.length / 2; i++) {
          const to = migrates(src, i) ? alloc() : undefined;
          if (to === undefined) continue;
          const from = migratePfnToPage(src, i);
          if (from === NULL_PAGE) machine.memmap.contents.clear(to);
          else machine.memmap.contents.copy(to, from);
          setMigrateDst(dst, i, to);
        }
      },
      *finalizeAndMap(_vma, src) {
        for (let i = 0; i < src.length / 2; i++) if (migrates(src, i)) mapped.push(i);
      },
    };
  }
}

test("a driver of 4.14 moves memory to its device, and hears of what has moved before anybody sees it", () => {
  const machine = migrateMachine({ policies: defaultPagemapPolicies });
  const driver = new Driver(machine);
  run(driver.add(128 * MiB));
  const process = machine.spawn(4);
  for (let i = 0; i < 3; i++) write(process, i, i + 1);
  const vma = mmOf(process).vmas.at(BASE);
  if (!vma) throw new Error("no mapping");
  const [src, dst] = [createMigratePfns(4), createMigratePfns(4)];
  const area = { vma, start: BASE, end: pageAt(4), src, dst };
  run(withMmapLock(mmOf(process), migrateVma(driver.toDevice, area, undefined)));
  expect(driver.mapped).toEqual([0, 1, 2, 3]);
  expect(isDevicePrivate(entryAt(process, 3).flags)).toBe(true);
  machine.check();
  expect([0, 1, 2, 3].map((i) => read(process, i))).toEqual([1, 2, 3, 0]);
  machine.check();
});

test("device memory takes the highest free addresses, in whole sections, under the device's name", () => {
  const machine = migrateMachine({ policies: defaultPagemapPolicies });
  requestRegion(machine.iomem, TOP - 256 * MiB, 128 * MiB, "in the way");
  const first = run(new Driver(machine).add(MiB));
  expect([first.resource.start, first.resource.end]).toEqual([TOP - 128 * MiB, TOP - 1]);
  expect(first.resource.desc).toBe(IORES_DESC_DEVICE_PRIVATE_MEMORY);
  const second = run(new Driver(machine).add(MiB));
  expect(second.resource.start).toBe(TOP - 384 * MiB);
  expect(iomemOf(machine)).toContain("fe8000000-fefffffff : hmm_dummy");
  run(hmmDevmemRemove(machine.pagemaps, first));
  run(hmmDevmemRemove(machine.pagemaps, second));
  expect(iomemOf(machine)).not.toContain("hmm_dummy");
});

test("a device that can't be added leaves no addresses taken", () => {
  const machine = migrateMachine({ policies: defaultPagemapPolicies });
  machine.kernel.faults.point("percpu_ref_init").arm({ probability: 100 });
  const before = iomemOf(machine);
  expect(() => run(new Driver(machine).add(MiB))).toThrow(/ENOMEM/);
  expect(iomemOf(machine)).toBe(before);
});

test("a resource of the device's own becomes public memory, and stays the device's", () => {
  const machine = migrateMachine({ policies: defaultPagemapPolicies });
  const resource = requestRegion(machine.iomem, 16 * 1024 * MiB, 128 * MiB, "cdm");
  const ops = {
    free() {},
    *fault() {
      return 0;
    },
  };
  const devmem = run(hmmDevmemAddResource(machine.pagemaps, ops, DEVICE, resource));
  expect(machine.pagemaps.getDevPagemap(devmem.pfnFirst)).toBe(devmem.pagemap);
  machine.pagemaps.putDevPagemap(devmem.pagemap);
  run(hmmDevmemRemove(machine.pagemaps, devmem));
  expect(iomemOf(machine)).toContain("cdm");
});
