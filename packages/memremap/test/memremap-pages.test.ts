// Mapping a device's memory: what is in the way, what it makes, and that a mapping that fails leaves nothing behind.
import { condResched, GiB, KernelBug, MiB, type Pfn, pfn, run } from "@hetmem/kernel";
import { PageFlag, PAGES_PER_SECTION, PAGES_PER_SUBSECTION, SectionFlag, sectionOfPfn } from "@hetmem/page";
import { ZoneType } from "@hetmem/zone";
import { describe, expect, test } from "vitest";
import {
  coherentDeviceMemory,
  defaultPagemapPolicies,
  DevPagemap,
  isDevicePrivatePage,
  isFsdaxPage,
  type MemmapInitZoneDevice,
  MEMORY_TYPES,
  MemoryType,
  privateDeviceMemory,
} from "../src/index.ts";
import {
  pagemapMachine,
  devicePagemap,
  drivenPagemap,
  LATER,
  NODE_0,
  NODE_1,
  START,
} from "@hetmem/test-machines/pagemap-machine";
import { outcome } from "@hetmem/test-machines/outcome";
import { SECTION } from "@hetmem/test-machines/ram";

describe("a mapped device", () => {
  test("has struct pages in ZONE_DEVICE, each with its pagemap, reserved and idle", () => {
    const machine = pagemapMachine();
    const pagemap = devicePagemap();
    machine.map(pagemap, NODE_1);
    for (const n of [0, 1, 1023, 1024, PAGES_PER_SECTION - 1]) {
      const page = machine.page(pagemap, n);
      expect(machine.memmap.zoneOf(page)).toBe(ZoneType.Device);
      expect(machine.memmap.nodeOf(page)).toBe(NODE_1);
      expect(machine.memmap.test(page, PageFlag.reserved)).toBe(true);
      expect(machine.memmap.refcount(page)).toBe(1);
      expect(machine.pagemaps.pagemapOf(page)).toBe(pagemap);
    }
    machine.check();
  });

  test("has no memory blocks, and its sections never go online", () => {
    const machine = pagemapMachine();
    machine.map(devicePagemap());
    expect(machine.hotplug.blocks.size).toBe(0);
    expect(machine.memmap.sections.has(START / SECTION, SectionFlag.online)).toBe(false);
  });

  test("is tied to ZONE_DEVICE of its node, which has no page present", () => {
    const machine = pagemapMachine();
    machine.map(devicePagemap(), NODE_1);
    const zone = machine.memory.nodes[1]?.zones[ZoneType.Device];
    expect([zone?.startPfn, zone?.spannedPages, zone?.presentPages]).toEqual([
      START / 4096,
      PAGES_PER_SECTION,
      0,
    ]);
  });

  test("goes to the node of the first cpu when its own isn't known", () => {
    const machine = pagemapMachine();
    const pagemap = devicePagemap();
    run(machine.pagemaps.memremapPages(pagemap, undefined));
    expect(machine.memmap.nodeOf(machine.page(pagemap, 0))).toBe(NODE_0);
  });

  test("leaves the machine as it was once it is released, and can be mapped again", () => {
    const machine = pagemapMachine();
    const before = machine.fingerprint();
    const pagemap = devicePagemap({
      ranges: [
        { start: START, size: SECTION },
        { start: START + 2 * SECTION, size: SECTION },
      ],
    });
    for (let i = 0; i < 3; i++) {
      machine.map(pagemap);
      machine.check();
      machine.unmap(pagemap);
      expect(machine.fingerprint()).toEqual(before);
    }
    machine.check();
  });

  test.each([
    { of: "a section", size: 2 * SECTION, yields: 2 },
    { of: "1,024 pages of a part of a section", size: SECTION / 2, yields: PAGES_PER_SECTION / 2 / 1024 },
  ])("yields after the struct pages of $of, without the locks of hotplug", ({ size, yields }) => {
    const machine = pagemapMachine({ policies: LATER });
    const { locks } = machine.hotplug;
    const task = machine.pagemaps.memremapPages(devicePagemap({ ranges: [{ start: START, size }] }), NODE_0);
    let seen = 0;
    for (let step = task.next(); !step.done; step = task.next())
      if (
        step.value === condResched &&
        !locks.changing &&
        machine.memmap.initialised(machine.memmap.pfnToPage(pfn(START / 4096)))
      )
        seen++;
    expect(seen).toBe(yields);
  });

  test("tells how far its struct pages are", () => {
    const machine = pagemapMachine();
    const seen: MemmapInitZoneDevice[] = [];
    machine.pagemaps.initialising.subscribe(({ event }) => seen.push(event));
    machine.map(devicePagemap({ ranges: [{ start: START, size: 2 * SECTION }] }));
    expect(seen).toEqual([
      { name: "dax0.0", done: PAGES_PER_SECTION, total: 2 * PAGES_PER_SECTION },
      { name: "dax0.0", done: 2 * PAGES_PER_SECTION, total: 2 * PAGES_PER_SECTION },
    ]);
  });

  test("of many gigabytes writes no struct page that nobody looks at, and says nothing", () => {
    const size = 32 * GiB;
    const machine = pagemapMachine({ ram: [[0, 2 * GiB]], room: 33 * GiB, policies: LATER });
    const logged = machine.kernel.log.format();
    const pagemap = devicePagemap({ ranges: [{ start: START, size }] });
    machine.map(pagemap);
    const { memmap } = machine;
    const first = sectionOfPfn(pfn(START / 4096));
    const written = (): number[] => {
      const sections = Array.from({ length: size / SECTION }, (_, i) => first + i);
      return sections.filter((section) => !memmap.isDeferred(section)).map((section) => section - first);
    };
    expect(written()).toEqual([]);
    const page = memmap.pfnToPage(pfn((START + 5 * SECTION) / 4096 + 77));
    expect(machine.pagemaps.pagemapOf(page)).toBe(pagemap);
    expect(memmap.refcount(page)).toBe(1);
    expect(written()).toEqual([5]);
    machine.check();
    machine.unmap(pagemap);
    machine.check();
    expect(machine.kernel.log.format()).toBe(logged);
  });

  test("of which a page is in use outlives its owner until the page's last put, whoever looked at the others", () => {
    const machine = pagemapMachine();
    const pagemap = devicePagemap({ ranges: [{ start: START, size: 2 * SECTION }] });
    machine.map(pagemap);
    const { memmap } = machine;
    const page = memmap.pfnToPage(pfn(START / 4096 + 7));
    memmap.getPage(page);
    const task = machine.pagemaps.memunmapPages(pagemap);
    for (let i = 0; i < 1000; i++) task.next();
    expect(pagemap.ref.count).toBe(1);
    memmap.putPage(page);
    while (!task.next().done);
    machine.check();
  });
});

describe("what a kind of memory needs and gets", () => {
  test("private memory isn't mapped by the kernel, so that it may lie where the direct map ends", () => {
    const machine = pagemapMachine({ addressableEnd: 2 * GiB });
    machine.map(drivenPagemap(MemoryType.DevicePrivate).pagemap);
    machine.check();
  });

  test("any other memory past the end of the direct map is EINVAL", () => {
    const machine = pagemapMachine({ addressableEnd: 2 * GiB });
    const before = machine.fingerprint();
    expect(outcome(() => machine.map(devicePagemap()))).toBe("EINVAL");
    expect(machine.fingerprint()).toEqual(before);
  });

  test.each([
    ["private memory without migrateToRam", MemoryType.DevicePrivate, { ops: { pageFree() {} } }],
    [
      "private memory without pageFree",
      MemoryType.DevicePrivate,
      {
        ops: {
          *migrateToRam() {
            return 0;
          },
        },
      },
    ],
    ["private memory without an owner", MemoryType.DevicePrivate, { owner: undefined }],
    ["public memory without pageFree", MemoryType.DevicePublic, { ops: {} }],
    ["coherent memory, which this release doesn't know", MemoryType.DeviceCoherent, {}],
  ] as const)("%s is EINVAL", (_what, type, init) => {
    const machine = pagemapMachine();
    expect(outcome(() => machine.map(drivenPagemap(type, init).pagemap))).toBe("EINVAL");
  });

  test("coherent memory came when public memory had gone", () => {
    const later = pagemapMachine({
      policies: { ...defaultPagemapPolicies, memoryTypes: coherentDeviceMemory },
    });
    later.map(drivenPagemap(MemoryType.DeviceCoherent).pagemap);
    expect(outcome(() => later.map(drivenPagemap(MemoryType.DevicePublic).pagemap))).toBe("EINVAL");
    const between = pagemapMachine({
      policies: { ...defaultPagemapPolicies, memoryTypes: privateDeviceMemory },
    });
    for (const type of [MemoryType.DevicePublic, MemoryType.DeviceCoherent])
      expect(outcome(() => between.map(drivenPagemap(type).pagemap))).toBe("EINVAL");
  });

  test.each(Object.values(MemoryType))("kind %i maps, is told apart by its pages, and goes", (type) => {
    const memoryTypes = new Set(Object.values(MemoryType));
    const machine = pagemapMachine({ policies: { ...defaultPagemapPolicies, memoryTypes } });
    const { pagemap } = drivenPagemap(type);
    machine.map(pagemap);
    const page = machine.page(pagemap, 5);
    expect(isDevicePrivatePage(machine.pagemaps, page)).toBe(type === MemoryType.DevicePrivate);
    expect(isFsdaxPage(machine.pagemaps, page)).toBe(type === MemoryType.DeviceFsDax);
    expect(machine.pagemaps.memtypes.lookup(machine.memmap.pageToPfn(page))).toBe(
      MEMORY_TYPES[type].cacheMode,
    );
    machine.unmap(pagemap);
  });

  test("a pagemap without a range, or of half pages, is EINVAL", () => {
    expect(outcome(() => devicePagemap({ ranges: [] }))).toBe("EINVAL");
    expect(outcome(() => devicePagemap({ ranges: [{ start: START + 512, size: MiB }] }))).toBe("EINVAL");
    expect(outcome(() => devicePagemap({ ranges: [{ start: START, size: 0 }] }))).toBe("EINVAL");
  });

  test("a node that isn't possible is EINVAL", () => {
    expect(outcome(() => pagemapMachine().map(devicePagemap(), 7 as never))).toBe("EINVAL");
  });
});

describe("RAM in the way", () => {
  // RAM to 0x37bffffff and persistent memory from 0x37c000000: two zones would meet in one section.
  const machine = () =>
    pagemapMachine({
      ram: [
        [0, 64 * MiB],
        [0x378000000, 0x37c000000],
      ],
      room: 2 * GiB,
    });
  const pmem = () =>
    devicePagemap({
      name: "pmem0",
      type: MemoryType.DeviceFsDax,
      ranges: [{ start: 0x37c000000, size: 4 * SECTION }],
    });

  test("is ENXIO at the granularity of sections, though not a byte overlaps, and is never remapped", () => {
    const it = machine();
    const before = it.fingerprint();
    expect(outcome(() => it.map(pmem()))).toBe("ENXIO");
    expect(() => it.map(pmem())).toThrow("shares a section with RAM at 0x378000000");
    expect(it.fingerprint()).toEqual(before);
    it.check();
  });

  test("is none to a kernel that maps subsections: RAM and a device share the section", () => {
    const it = pagemapMachine({
      ram: [
        [0, 64 * MiB],
        [0x378000000, 0x37c000000],
      ],
      room: 2 * GiB,
      policies: LATER,
    });
    const pagemap = pmem();
    it.map(pagemap);
    const section = Math.floor(0x37c000000 / SECTION);
    expect(it.memmap.sections.has(section, SectionFlag.taintZoneDevice)).toBe(true);
    const beside = devicePagemap({ ranges: [{ start: SECTION * 0x40, size: SECTION }] });
    const behind = devicePagemap({ ranges: [{ start: SECTION * 0x41, size: SECTION }] });
    for (const whole of [behind, beside]) it.map(whole);
    expect(it.memmap.sections.has(0x41, SectionFlag.taintZoneDevice)).toBe(false);
    for (const whole of [behind, beside]) it.unmap(whole);
    expect(it.memmap.zoneOf(it.memmap.pfnToPage(pfn(0x37c000)))).toBe(ZoneType.Device);
    it.unmap(pagemap);
    expect(it.memmap.pfnValid(pfn(0x37c000))).toBe(false);
    expect(it.memmap.pfnValid(pfn(0x37bfff))).toBe(true);
    it.check();
  });

  test("is ENXIO when the range is RAM itself", () => {
    const it = pagemapMachine({ ram: [[0, SECTION]] });
    expect(outcome(() => it.map(devicePagemap({ ranges: [{ start: 0, size: SECTION }] })))).toBe("ENXIO");
  });
});

describe("a second mapping", () => {
  const half = (name: string, at: number): DevPagemap =>
    devicePagemap({ name, ranges: [{ start: START + at, size: SECTION / 2 }] });

  test("in a section that has one is ENOMEM, and the first keeps its lookups and its pages", () => {
    const machine = pagemapMachine();
    const [first, second] = [half("pmem0", 0), half("pmem1", SECTION / 2)];
    machine.map(first);
    const before = machine.fingerprint();
    expect(outcome(() => machine.map(second))).toBe("ENOMEM");
    expect(machine.fingerprint()).toEqual(before);
    expect(machine.pagemaps.getDevPagemap(pfn(START / 4096))).toBe(first);
    machine.pagemaps.putDevPagemap(first);
    machine.unmap(first);
    machine.map(second);
    machine.check();
  });

  test("in the middle of a large one, or around a small one, is ENOMEM too", () => {
    const machine = pagemapMachine();
    machine.map(devicePagemap({ ranges: [{ start: START + SECTION, size: 3 * SECTION }] }));
    const inside = devicePagemap({ ranges: [{ start: START + 2 * SECTION, size: SECTION }] });
    const around = devicePagemap({ ranges: [{ start: START, size: 6 * SECTION }] });
    expect(outcome(() => machine.map(inside))).toBe("ENOMEM");
    expect(outcome(() => machine.map(around))).toBe("ENOMEM");
    machine.check();
  });

  test("in another subsection of the section works in later releases, and each goes alone", () => {
    const machine = pagemapMachine({ policies: LATER });
    const [first, second] = [half("pmem0", 0), half("pmem1", SECTION / 2)];
    machine.map(first);
    machine.map(second);
    machine.check();
    machine.unmap(first);
    machine.check();
    expect(machine.pagemaps.getDevPagemap(pfn(START / 4096))).toBeUndefined();
    expect(machine.pagemaps.pagemapOf(machine.page(second, 0))).toBe(second);
    machine.unmap(second);
  });

  test("in the same subsection is ENOMEM, and one off subsections is EINVAL, in later releases", () => {
    const machine = pagemapMachine({ policies: LATER });
    machine.map(half("pmem0", 0));
    expect(outcome(() => machine.map(devicePagemap({ ranges: [{ start: START, size: 2 * MiB }] })))).toBe(
      "ENOMEM",
    );
    const off = devicePagemap({ ranges: [{ start: START + SECTION, size: MiB }] });
    expect(outcome(() => machine.map(off))).toBe("EINVAL");
    machine.check();
  });

  test("of the same pagemap is a bug", () => {
    const machine = pagemapMachine();
    const pagemap = devicePagemap();
    machine.map(pagemap);
    expect(() => machine.map(pagemap)).toThrow(KernelBug);
  });

  test("whose second range collides takes back its first range, and nothing of the other", () => {
    const machine = pagemapMachine();
    const other = devicePagemap({ name: "pmem9", ranges: [{ start: START + 4 * SECTION, size: SECTION }] });
    machine.map(other);
    const before = machine.fingerprint();
    const two = devicePagemap({
      ranges: [
        { start: START, size: SECTION },
        { start: START + 3 * SECTION, size: 2 * SECTION },
      ],
    });
    expect(outcome(() => machine.map(two))).toBe("ENOMEM");
    expect(machine.fingerprint()).toEqual(before);
    expect(machine.pagemaps.tree.load(pfn((START + 4 * SECTION) / 4096))).toBe(other.id);
    machine.check();
  });
});

describe("a mapping that fails part of the way", () => {
  test.each(["pgmap_array_store", "memtype_reserve", "arch_add_memory"])(
    "at %s leaves the machine as it was",
    (name) => {
      for (let range = 0; range < 3; range++) {
        const machine = pagemapMachine();
        const before = machine.fingerprint();
        machine.kernel.faults.point(name).arm({ probability: 100, space: range, times: 1 });
        const ranges = [0, 2, 4].map((n) => ({ start: START + n * SECTION, size: SECTION }));
        const pagemap = devicePagemap({ ranges });
        expect(outcome(() => machine.map(pagemap))).toBe("ENOMEM");
        expect(machine.fingerprint()).toEqual(before);
        machine.map(pagemap);
        machine.check();
      }
    },
  );

  test("for want of room for its struct pages leaves the machine as it was", () => {
    const machine = pagemapMachine({ room: 16 * GiB });
    const before = machine.fingerprint();
    expect(outcome(() => machine.map(devicePagemap({ ranges: [{ start: START, size: 12 * GiB }] })))).toBe(
      "ENOMEM",
    );
    expect(machine.fingerprint()).toEqual(before);
    machine.check();
  });
});

describe("the same arithmetic maps and releases", () => {
  test("a small range that straddles a section: both sections go with it", () => {
    const machine = pagemapMachine();
    const pagemap = devicePagemap({ ranges: [{ start: START + SECTION - 2 * MiB, size: 4 * MiB }] });
    machine.map(pagemap);
    expect(machine.memmap.sections.isWhole(START / SECTION)).toBe(true);
    expect(machine.memmap.sections.isWhole(START / SECTION + 1)).toBe(true);
    machine.check();
    machine.unmap(pagemap);
    expect(machine.memmap.pfnValid((START / 4096) as Pfn)).toBe(false);
    expect(machine.memmap.pfnValid(((START + SECTION) / 4096) as Pfn)).toBe(false);
  });

  test("the rest of its sections has struct pages, and belongs to nobody", () => {
    const machine = pagemapMachine();
    const pagemap = devicePagemap({ ranges: [{ start: START + 2 * MiB, size: 4 * MiB }] });
    machine.map(pagemap);
    const beside = machine.memmap.pfnToPage((START / 4096) as Pfn);
    expect(machine.memmap.zoneOf(beside)).toBe(ZoneType.Device);
    expect(machine.pagemaps.pagemapOf(beside)).toBeUndefined();
    expect(machine.pagemaps.getDevPagemap((START / 4096) as Pfn)).toBeUndefined();
    expect(pagemap.ref.count).toBe(1 + 2 * PAGES_PER_SUBSECTION);
  });
});
