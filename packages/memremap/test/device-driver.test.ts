// What the machine asks of a driver: to move a page to where the cpu reaches it, and to tell who uses memory that fails.
import { condResched, KernelBug, KernelError, type Page, type Pfn, pfn, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { type DevPagemap, memoryFailureDevPagemap, MemoryType, migrateToRam } from "../src/index.ts";
import {
  type PagemapMachine,
  pagemapMachine,
  devicePagemap,
  drivenPagemap,
  START,
} from "@hetmem/test-machines/pagemap-machine";
import { outcome } from "@hetmem/test-machines/outcome";

test("a fault on a private page goes to its driver, with the machine's own fault, and his answer comes back", () => {
  interface Fault {
    readonly address: number;
  }
  const seen: (readonly [Fault, Page])[] = [];
  const machine = pagemapMachine();
  const ops = {
    pageFree() {},
    *migrateToRam(fault: Fault, page: Page) {
      yield condResched;
      seen.push([fault, page]);
      return 0x200;
    },
  };
  const { pagemap } = drivenPagemap(MemoryType.DevicePrivate, { ops });
  machine.map(pagemap);
  expect(run(migrateToRam(machine.pagemaps, { address: 0x7000 }, machine.page(pagemap, 4)))).toBe(0x200);
  expect(seen).toEqual([[{ address: 0x7000 }, machine.page(pagemap, 4)]]);
});

test("a fault on a page whose driver moves nothing is a bug", () => {
  const machine = pagemapMachine();
  const pagemap = devicePagemap();
  machine.map(pagemap);
  expect(() => run(migrateToRam(machine.pagemaps, {}, machine.page(pagemap, 0)))).toThrow(KernelBug);
  expect(() => run(migrateToRam(machine.pagemaps, {}, machine.memmap.pfnToPage(pfn(1))))).toThrow(KernelBug);
});

test("failed memory is the driver's to tell, which holds the pagemap meanwhile", () => {
  const machine = pagemapMachine();
  const calls: unknown[] = [];
  const pagemap: DevPagemap = devicePagemap({
    ops: {
      *memoryFailure(map, frame, pages, current) {
        calls.push([map.name, frame, pages, current, map.ref.count]);
      },
    },
  });
  machine.map(pagemap);
  const references = pagemap.ref.count;
  const frame = (START / 4096 + 3) as Pfn;
  const reader = {};
  expect(run(memoryFailureDevPagemap(machine.pagemaps, frame, reader))).toBe(true);
  expect(calls).toEqual([["dax0.0", frame, 1, reader, references + 1]]);
  expect(lastLine(machine)).toMatch(/^Memory failure: 0x\w+: recovery action for dax page: Recovered$/);
  expect(pagemap.ref.count).toBe(references);
});

test("failed memory can't be recovered where the driver says nothing of it, or that it can't, and the log says so", () => {
  const machine = pagemapMachine();
  const mute = devicePagemap();
  machine.map(mute);
  expect(failedMemory(machine)).toBe("EBUSY");
  machine.unmap(mute);
  for (const [errno, answer] of [
    ["EOPNOTSUPP", "EBUSY"],
    ["EIO", "EIO"],
  ] as const) {
    const pagemap = devicePagemap({
      ops: {
        *memoryFailure() {
          throw new KernelError(errno, "the test says so");
        },
      },
    });
    machine.map(pagemap);
    expect(failedMemory(machine)).toBe(answer);
    expect(lastLine(machine)).toMatch(/recovery action for dax page: Failed$/);
    machine.unmap(pagemap);
  }
});

test("failed memory that a device keeps for struct pages is ENXIO, and that of no device is somebody else's", () => {
  const machine = pagemapMachine();
  const pagemap = devicePagemap({ altmap: { reserve: 0, free: 512 } });
  machine.map(pagemap);
  expect(run(memoryFailureDevPagemap(machine.pagemaps, pfn(1), undefined))).toBe(false);
  expect(failedMemory(machine)).toBe("ENXIO");
  machine.unmap(pagemap);
});

function failedMemory({ pagemaps }: PagemapMachine): string {
  return outcome(() => run(memoryFailureDevPagemap(pagemaps, pfn(START / 4096), undefined)));
}

function lastLine({ pagemaps }: PagemapMachine): string | undefined {
  return pagemaps.memory.kernel.log.records.at(-1)?.text;
}
