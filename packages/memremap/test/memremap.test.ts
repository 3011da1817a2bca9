// memremap() and its devm_ form: modes in the kernel's order, RAM from the direct map only, and ENXIO instead of nothing.
import { KernelBug, MiB, nodeId, pfn, physAddr, run } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { insertResource, IORESOURCE_SYSTEM_RAM, Resource } from "@hetmem/resource";
import { describe, expect, test } from "vitest";
import {
  type ArchMemremap,
  type Device,
  devmMemremap,
  devmMemremapPages,
  devmMemunmap,
  devmMemunmapPages,
  Devres,
  encryptedMemory,
  IoMappings,
  Memremap,
} from "../src/index.ts";
import {
  pagemapMachine,
  type PagemapMachine,
  devicePagemap,
  START,
} from "@hetmem/test-machines/pagemap-machine";
import { outcome } from "@hetmem/test-machines/outcome";

const { WB, WT, WC, ENC, DEC } = Memremap;
const RAM = physAddr(16 * MiB);
const DEVICE = physAddr(START);

function setup(arch?: ArchMemremap): PagemapMachine & { readonly io: IoMappings } {
  const machine = pagemapMachine();
  return { ...machine, io: new IoMappings(machine.hotplug, machine.pagemaps.memtypes, arch) };
}

describe("memremap()", () => {
  test.each([
    [WB, "write-back"],
    [WT, "write-through"],
    [WC, "write-combining"],
    [WB | WT | WC, "write-back"],
    [WT | WC, "write-through"],
    [WB | ENC, "write-back"],
  ] as const)(
    "with flags %i maps a device's memory %s: the first of WB, WT, WC that is asked for",
    (flags, mode) => {
      const { io, pagemaps } = setup();
      const mapping = io.memremap(DEVICE, MiB, flags);
      expect([mapping?.mode, mapping?.direct]).toEqual([mode, false]);
      expect(pagemaps.memtypes.lookup(pfn(START / 4096))).toBe(mode);
      if (mapping) io.memunmap(mapping);
      expect([io.count, pagemaps.memtypes.count]).toEqual([0, 0]);
    },
  );

  test("goes on to the next mode where somebody has the range in one that doesn't do", () => {
    const { io } = setup();
    io.memremap(DEVICE, MiB, WC);
    expect(io.memremap(DEVICE, MiB, WT)).toBeUndefined();
    expect(io.memremap(DEVICE, MiB, WT | WC)?.mode).toBe("write-combining");
    expect(io.count).toBe(2);
  });

  test("with no mode gives nothing", () => {
    expect(setup().io.memremap(DEVICE, MiB, 0)).toBeUndefined();
    expect(setup().io.memremap(DEVICE, MiB, ENC | DEC)).toBeUndefined();
  });

  test("serves RAM from the direct map, with nothing to give back", () => {
    const { io } = setup();
    const mapping = io.memremap(RAM, MiB, WB);
    expect([mapping?.direct, mapping?.mode, io.count]).toEqual([true, "write-back", 0]);
    if (mapping) io.memunmap(mapping);
  });

  test("refuses RAM write-through and write-combining", () => {
    const { io, kernel } = setup();
    for (const flags of [WT, WC, WT | WC]) expect(io.memremap(RAM, MiB, flags)).toBeUndefined();
    expect(kernel.log.format()).toContain("memremap attempted on ram 0x1000000 size: 0x100000");
  });

  test("serves RAM in write-back though other modes would do as well", () => {
    expect(setup().io.memremap(RAM, MiB, WB | WT | WC)?.direct).toBe(true);
  });

  test("refuses a range of RAM and something else", () => {
    const { io, iomem, kernel } = setup();
    insertResource(iomem, new Resource({ name: "pmem", start: 64 * MiB, end: 65 * MiB - 1 }));
    expect(io.memremap(physAddr(63 * MiB), 2 * MiB, WB)).toBeUndefined();
    expect(kernel.log.format()).toContain("memremap attempted on mixed range");
  });

  test("maps anew what is called System RAM and has no struct page: its frame is asked before its page is looked at", () => {
    const { io, iomem } = setup();
    const hidden = { name: "System RAM", start: START, end: START + MiB - 1, flags: IORESOURCE_SYSTEM_RAM };
    insertResource(iomem, new Resource(hidden));
    const mapping = io.memremap(DEVICE, MiB, WB);
    expect([mapping?.direct, mapping?.mode]).toEqual([false, "write-back"]);
  });

  test("refuses to map RAM anew that somebody may use, and maps pages that are reserved", () => {
    const nowhere: ArchMemremap = { canRamRemap: () => false, encrypts: () => false };
    const { io, memmap, memory } = setup(nowhere);
    expect(io.memremap(RAM, 4096, WB)).toBeUndefined();
    const page = memory.allocator.allocPages(0, 0, nodeId(0));
    memmap.set(page, PageFlag.reserved);
    expect(io.memremap(physAddr(memmap.pageToPfn(page) * 4096), 4096, WB)?.direct).toBe(false);
  });

  test("maps whole pages of what isn't page-aligned, and gives them all back", () => {
    const { io, pagemaps } = setup();
    const mapping = io.memremap(physAddr(START + 100), 4096, WB);
    expect(mapping).toMatchObject({ start: START + 100, size: 4096 });
    expect(pagemaps.memtypes.lookup(pfn(START / 4096 + 1))).toBe("write-back");
    if (mapping) io.memunmap(mapping);
    expect(pagemaps.memtypes.count).toBe(0);
  });
});

describe("with memory encryption", () => {
  const inTheClear = ({ start }: { readonly start: number }): boolean => start < RAM + MiB;

  test("the direct map doesn't serve what the firmware left in the clear", () => {
    const { io } = setup(encryptedMemory(inTheClear));
    expect(io.memremap(RAM, 4096, WB)).toBeUndefined();
    expect(io.memremap(physAddr(RAM + MiB), 4096, WB)).toMatchObject({ direct: true, encrypted: true });
  });

  test("the architecture is asked with the very flags of the caller, whatever was tried before", () => {
    const seen: number[] = [];
    const { io } = setup({ canRamRemap: (_range, flags) => seen.push(flags) > 0, encrypts: () => false });
    io.memremap(RAM, 4096, WB | WT | ENC);
    io.memremap(RAM, 4096, WB | DEC);
    expect(seen).toEqual([WB | WT | ENC, WB | DEC]);
  });

  test("the caller who says so gets it from the direct map, or not, whatever it is", () => {
    const { io } = setup(encryptedMemory(inTheClear));
    expect(io.memremap(RAM, 4096, WB | ENC)?.direct).toBe(true);
    expect(io.memremap(physAddr(RAM + MiB), 4096, WB | DEC)).toBeUndefined();
  });
});

describe("a device", () => {
  const device = (): Device => ({ name: "pci0", node: undefined, devres: new Devres() });

  test("hears ENXIO, and not nothing, when no mode works", () => {
    const { io } = setup();
    const dev = device();
    expect(outcome(() => devmMemremap(io, dev, RAM, MiB, WT))).toBe("ENXIO");
    expect(dev.devres.count).toBe(0);
  });

  test("gives back the very mapping that it was given, when it goes", () => {
    const { io, pagemaps } = setup();
    const dev = device();
    devmMemremap(io, dev, DEVICE, MiB, WB);
    devmMemremap(io, dev, physAddr(START + MiB), MiB, WC);
    run(dev.devres.releaseAll());
    expect([io.count, pagemaps.memtypes.count, dev.devres.count]).toEqual([0, 0, 0]);
  });

  test("gives one mapping back early, and can't do it twice", () => {
    const { io } = setup();
    const dev = device();
    const first = devmMemremap(io, dev, DEVICE, MiB, WB);
    devmMemremap(io, dev, physAddr(START + MiB), MiB, WB);
    run(devmMemunmap(dev, first));
    expect([io.count, dev.devres.count]).toEqual([1, 1]);
    expect(() => run(devmMemunmap(dev, first))).toThrow(KernelBug);
    expect(() => io.memunmap(first)).toThrow(KernelBug);
  });

  test("keeps its pagemap until it goes, and releases what it took in reverse", () => {
    const machine = setup();
    const dev = device();
    const before = machine.fingerprint();
    const pagemap = devicePagemap();
    const released: string[] = [];
    dev.devres.addAction("first", function* () {
      released.push(pagemap.id === 0 ? "behind the pagemap" : "before the pagemap");
    });
    run(devmMemremapPages(machine.pagemaps, dev, pagemap));
    expect(machine.pagemaps.mapped()).toEqual([pagemap]);
    run(dev.devres.releaseAll());
    expect([released, machine.pagemaps.mapped()]).toEqual([["behind the pagemap"], []]);
    expect(machine.fingerprint()).toEqual(before);
  });

  test("releases its pagemap early, and holds nothing when mapping failed", () => {
    const machine = setup();
    const dev = device();
    const pagemap = devicePagemap();
    run(devmMemremapPages(machine.pagemaps, dev, pagemap));
    run(devmMemunmapPages(dev, pagemap));
    expect(dev.devres.count).toBe(0);
    const ram = devicePagemap({ ranges: [{ start: 0, size: MiB }] });
    expect(outcome(() => run(devmMemremapPages(machine.pagemaps, dev, ram)))).toBe("ENXIO");
    expect(dev.devres.count).toBe(0);
  });

  test("that can't note what it has to give back doesn't have it", () => {
    const machine = setup();
    const dev = device();
    const before = machine.fingerprint();
    machine.kernel.faults.point("devres_alloc").arm({ probability: 100, times: 1 });
    expect(outcome(() => run(devmMemremapPages(machine.pagemaps, dev, devicePagemap())))).toBe("ENOMEM");
    expect(machine.fingerprint()).toEqual(before);
  });
});
