// References on a pagemap and on its pages: who may take them, what the last one does, and that a device isn't taken down
// under somebody who uses a page of it.
import {
  condResched,
  KernelBug,
  type Page,
  type Pfn,
  pfn,
  run,
  Scheduler,
  seededChoice,
  type Sleeps,
} from "@hetmem/kernel";
import { PageFlag, PAGES_PER_SECTION } from "@hetmem/page";
import { describe, expect, test } from "vitest";
import {
  defaultPagemapPolicies,
  type DevPagemap,
  idleAtZero,
  MemoryType,
  zoneDevicePageInit,
} from "../src/index.ts";
import {
  pagemapMachine,
  type PagemapMachine,
  devicePagemap,
  drivenPagemap,
  START,
} from "@hetmem/test-machines/pagemap-machine";
import { SECTION } from "@hetmem/test-machines/ram";

const FIRST = pfn(START / 4096);
const EARLIER = defaultPagemapPolicies;
const idleNow = { ...defaultPagemapPolicies, idle: idleAtZero };

/** Steps a task until it waits for something. @returns what it waits for, undefined when it has ended */
function untilItWaits(task: Sleeps<unknown>): string | undefined {
  for (let step = task.next(); !step.done; step = task.next()) if (!step.value.ready()) return step.value.why;
  return undefined;
}

function mapped(pagemap: DevPagemap, machine: PagemapMachine = pagemapMachine()): PagemapMachine {
  machine.map(pagemap);
  return machine;
}

describe("get_dev_pagemap()", () => {
  test("finds the pagemap of any frame of it with a reference, and nothing beside it", () => {
    const pagemap = devicePagemap({
      ranges: [
        { start: START, size: SECTION },
        { start: START + 2 * SECTION, size: SECTION },
      ],
    });
    const { pagemaps } = mapped(pagemap);
    const before = pagemap.ref.count;
    const frames = [
      0,
      PAGES_PER_SECTION - 1,
      PAGES_PER_SECTION,
      2 * PAGES_PER_SECTION,
      3 * PAGES_PER_SECTION,
    ];
    const found = frames.map((n) => pagemaps.getDevPagemap((FIRST + n) as Pfn));
    expect(found).toEqual([pagemap, pagemap, undefined, pagemap, undefined]);
    expect(pagemap.ref.count).toBe(before + 3);
    for (const each of found) pagemaps.putDevPagemap(each);
    expect(pagemap.ref.count).toBe(before);
  });

  test("keeps what was cached for the next frame of the same pagemap, with one reference for all of them", () => {
    const pagemap = devicePagemap();
    const { pagemaps } = mapped(pagemap);
    const before = pagemap.ref.count;
    let held: DevPagemap | undefined;
    for (let n = 0; n < 100; n++) held = pagemaps.getDevPagemap((FIRST + n) as Pfn, held);
    expect(pagemap.ref.count).toBe(before + 1);
    pagemaps.putDevPagemap(held);
  });

  test("gives the cached one back when the next frame is another's", () => {
    const first = devicePagemap({ name: "dax0.0" });
    const second = devicePagemap({ name: "dax1.0", ranges: [{ start: START + SECTION, size: SECTION }] });
    const { pagemaps } = mapped(second, mapped(first));
    const before = first.ref.count;
    const held = pagemaps.getDevPagemap(FIRST);
    expect(pagemaps.getDevPagemap((FIRST + PAGES_PER_SECTION) as Pfn, held)).toBe(second);
    expect(first.ref.count).toBe(before);
  });

  test("fails once the pagemap is dying, while what is cached goes on working", () => {
    const pagemap = devicePagemap();
    const { pagemaps } = mapped(pagemap);
    const held = pagemaps.getDevPagemap(FIRST);
    const task = pagemaps.memunmapPages(pagemap);
    expect(untilItWaits(task)).toBe("the last lookup of dax0.0");
    expect(pagemaps.getDevPagemap(FIRST)).toBeUndefined();
    expect(pagemaps.tryGetPagemap(pagemaps.memmap.pfnToPage(FIRST))).toBe(false);
    expect(pagemaps.getDevPagemap((FIRST + 1) as Pfn, held)).toBe(pagemap);
    pagemaps.putDevPagemap(held);
    run(task);
  });

  test("is refused to a page of no device, and taken and given back by a page of one", () => {
    const pagemap = devicePagemap();
    const machine = mapped(pagemap);
    expect(machine.pagemaps.tryGetPagemap(machine.memmap.pfnToPage(pfn(0x1000)))).toBe(false);
    const before = pagemap.ref.count;
    expect(machine.pagemaps.tryGetPagemap(machine.page(pagemap, 3))).toBe(true);
    expect(pagemap.ref.count).toBe(before + 1);
    machine.pagemaps.putPagemap(machine.page(pagemap, 3));
    expect(pagemap.ref.count).toBe(before);
  });
});

describe("each page that is alive", () => {
  test("has one reference on the pagemap, however many users it has", () => {
    const pagemap = devicePagemap();
    const machine = mapped(pagemap);
    expect(pagemap.ref.count).toBe(1 + PAGES_PER_SECTION);
    for (let i = 0; i < 5; i++) machine.memmap.getPage(machine.page(pagemap, 0));
    expect(pagemap.ref.count).toBe(1 + PAGES_PER_SECTION);
    for (let i = 0; i < 5; i++) machine.memmap.putPage(machine.page(pagemap, 0));
    expect(pagemap.ref.count).toBe(1 + PAGES_PER_SECTION);
    machine.unmap(pagemap);
  });

  test("that its driver allocates has one while somebody uses it, where idle pages have no count", () => {
    const { pagemap } = drivenPagemap(MemoryType.DevicePrivate);
    const machine = mapped(pagemap, pagemapMachine({ policies: idleNow }));
    expect([pagemap.ref.count, machine.memmap.refcount(machine.page(pagemap, 0))]).toEqual([1, 0]);
    zoneDevicePageInit(machine.pagemaps, machine.page(pagemap, 0));
    expect([pagemap.ref.count, machine.memmap.refcount(machine.page(pagemap, 0))]).toEqual([2, 1]);
    machine.memmap.putPage(machine.page(pagemap, 0));
    expect([pagemap.ref.count, machine.memmap.refcount(machine.page(pagemap, 0))]).toEqual([1, 0]);
  });

  test("can't lose more references than were taken", () => {
    const pagemap = devicePagemap();
    const machine = mapped(pagemap);
    expect(() => machine.memmap.putPage(machine.page(pagemap, 0))).toThrow(
      "loses the reference of an idle page",
    );
  });
});

describe.each([
  ["idle at one", EARLIER, 1],
  ["idle at zero", idleNow, 0],
] as const)("a driver's page, %s", (_name, policies, idle) => {
  const setup = () => {
    const { pagemap, freed } = drivenPagemap(MemoryType.DevicePrivate);
    const machine = mapped(pagemap, pagemapMachine({ policies }));
    return { pagemap, freed, machine, page: machine.page(pagemap, 7) };
  };

  test("is handed out locked, with one user", () => {
    const { machine, page } = setup();
    expect(machine.memmap.refcount(page)).toBe(idle);
    zoneDevicePageInit(machine.pagemaps, page);
    expect(machine.memmap.refcount(page)).toBe(idle + 1);
    expect(machine.memmap.test(page, PageFlag.locked)).toBe(true);
  });

  test("comes back once each time that it becomes idle, without owner, charge and mapping", () => {
    const { machine, page, freed } = setup();
    const uncharged: Page[] = [];
    machine.pagemaps.uncharge = (each) => uncharged.push(each);
    for (let round = 1; round <= 3; round++) {
      zoneDevicePageInit(machine.pagemaps, page);
      machine.memmap.setMapping(page, 0x1235);
      machine.memmap.set(page, PageFlag.anonExclusive);
      machine.memmap.getPage(page);
      machine.memmap.getPage(page);
      machine.memmap.putPage(page);
      machine.memmap.putPage(page);
      expect(freed.length).toBe(round - 1);
      machine.memmap.putPage(page);
      expect(freed.length).toBe(round);
      expect([machine.memmap.mapping(page), machine.memmap.test(page, PageFlag.anonExclusive)]).toEqual([
        0,
        false,
      ]);
    }
    expect(uncharged).toEqual(freed);
    machine.check();
  });

  test("that is in use can't be handed out again", () => {
    const { machine, page } = setup();
    zoneDevicePageInit(machine.pagemaps, page);
    expect(() => zoneDevicePageInit(machine.pagemaps, page)).toThrow("hands out a page in use");
  });

  test("of a dying pagemap can't be handed out: the driver has a bug", () => {
    const { machine, page, pagemap } = setup();
    const held = machine.pagemaps.getDevPagemap(machine.memmap.pageToPfn(page));
    const task = machine.pagemaps.memunmapPages(pagemap);
    untilItWaits(task);
    expect(() => zoneDevicePageInit(machine.pagemaps, page)).toThrow(KernelBug);
    expect(() => zoneDevicePageInit(machine.pagemaps, page)).toThrow(
      "hands out a page while it is being torn down",
    );
    machine.pagemaps.putDevPagemap(held);
    run(task);
  });

  test("in use keeps the device: teardown waits, lookups fail, and the last put completes it", () => {
    const { machine, page, pagemap, freed } = setup();
    const before = pagemapMachine({ policies }).fingerprint();
    const frame = machine.memmap.pageToPfn(page);
    zoneDevicePageInit(machine.pagemaps, page);
    machine.memmap.getPage(page);
    const task = machine.pagemaps.memunmapPages(pagemap);
    expect(untilItWaits(task)).toBe("the last reference of the pagemap of gpu0");
    expect(pagemap.ref.count).toBe(1);
    expect(machine.pagemaps.getDevPagemap(frame)).toBeUndefined();
    expect(machine.pagemaps.pagemapOf(page)).toBe(pagemap);
    machine.memmap.putPage(page);
    expect(pagemap.ref.count).toBe(1);
    machine.memmap.putPage(page);
    expect([pagemap.ref.count, freed]).toEqual([0, [page]]);
    run(task);
    expect(machine.fingerprint()).toEqual(before);
  });
});

test("a page that was idle when its device began to go, and was taken by an earlier lookup, is waited for too", () => {
  const pagemap = devicePagemap();
  const machine = mapped(pagemap);
  const page = machine.page(pagemap, 0);
  const held = machine.pagemaps.getDevPagemap(FIRST);
  const task = machine.pagemaps.memunmapPages(pagemap);
  untilItWaits(task);
  machine.memmap.getPage(page);
  machine.pagemaps.putDevPagemap(held);
  expect(untilItWaits(task)).toBe("the last reference of the pagemap of dax0.0");
  expect(machine.memmap.zoneOf(page)).toBe(4);
  machine.memmap.putPage(page);
  run(task);
});

test("a file's page on persistent memory tells its driver when the last pin goes, and keeps its mapping", () => {
  const freed: Page[] = [];
  const pagemap = devicePagemap({
    type: MemoryType.DeviceFsDax,
    ops: { pageFree: (page) => void freed.push(page) },
  });
  const machine = mapped(pagemap, pagemapMachine({ policies: idleNow }));
  const page = machine.page(pagemap, 1);
  machine.memmap.setMapping(page, 42);
  machine.memmap.getPage(page);
  machine.memmap.putPage(page);
  expect([freed, machine.memmap.mapping(page)]).toEqual([[page], 42]);
});

test("a struct page that went with its device can't be read any more", () => {
  const pagemap = devicePagemap();
  const machine = mapped(pagemap);
  const page = machine.page(pagemap, 0);
  machine.unmap(pagemap);
  expect(machine.pagemaps.pagemapOf(page)).toBeUndefined();
  expect(() => machine.memmap.zoneOf(page)).toThrow(KernelBug);
});

test("a pagemap that isn't mapped, or is being released, can't be released", () => {
  const pagemap = devicePagemap();
  const machine = mapped(pagemap);
  expect(() => machine.unmap(devicePagemap())).toThrow(KernelBug);
  const scheduler = new Scheduler(machine.kernel, seededChoice(1));
  machine.memmap.getPage(machine.page(pagemap, 0));
  scheduler.spawn("first", machine.pagemaps.memunmapPages(pagemap));
  scheduler.step();
  expect(() => machine.unmap(pagemap)).toThrow(KernelBug);
});

test("who looked a pagemap up while it was being mapped is waited for when the mapping fails", () => {
  const machine = pagemapMachine();
  const ranges = [0, 1].map((n) => ({ start: START + 2 * n * SECTION, size: SECTION }));
  const pagemap = devicePagemap({ ranges });
  machine.kernel.faults.point("arch_add_memory").arm({ probability: 100, space: 1 });
  const task = machine.pagemaps.memremapPages(pagemap, undefined);
  let held: DevPagemap | undefined;
  let step = task.next();
  while (!step.done && step.value === condResched) {
    held ??= machine.pagemaps.getDevPagemap(FIRST);
    step = task.next();
  }
  expect(held).toBe(pagemap);
  expect(!step.done && step.value.why).toBe("the last lookup of dax0.0");
  machine.pagemaps.putDevPagemap(held);
  expect(() => run(task)).toThrow("no memory for dax0.0 (arch_add_memory is armed)");
  expect(machine.pagemaps.tree.empty).toBe(true);
});
