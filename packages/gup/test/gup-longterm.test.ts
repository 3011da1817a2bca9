// Pins that last: pages move to where they may stay first, or are refused.
import { type Page, type Preempt, run, virtAddr } from "@hetmem/kernel";
import { Foll, putGrabbedPage } from "@hetmem/mm/faultin";
import { PageFlag } from "@hetmem/page";
import { Pte } from "@hetmem/page-table";
import { deviceMachine } from "@hetmem/test-machines/device-machine";
import { entryAt, mapAt } from "@hetmem/test-machines/hand-mapped";
import { hotplugVmMachine } from "@hetmem/test-machines/hotplug-vm-machine";
import { pinUserPages } from "@hetmem/test-machines/locked-calls";
import { BASE, pageOf, read, withMemory, write } from "@hetmem/test-machines/moving";
import { mmOf } from "@hetmem/test-machines/vm-machine";
import { ZoneType } from "@hetmem/zone";
import { describe, expect, test } from "vitest";
import { pinUserPagesFast, pinUserPagesFastOnly } from "../src/fast.ts";
import { unpinUserPages } from "../src/unpin.ts";
import { outcome } from "@hetmem/test-machines/outcome";

const at = (index: number) => virtAddr(BASE + index * 4096);
const DEVICE = Pte.present | Pte.write | Pte.accessed | Pte.dirty | Pte.devmap;

describe("a long pin", () => {
  const withMovable = () => {
    const machine = hotplugVmMachine();
    const block = machine.plug(0);
    const process = machine.spawn();
    withMemory(process, 8);
    for (let i = 0; i < 8; i++) write(process, i, `page ${i}`);
    return { machine, block, process, mm: mmOf(process), vm: machine.vm };
  };

  test("moves pages out of ZONE_MOVABLE, with what is in them; their block can go offline then", () => {
    const { machine, block, process, mm, vm } = withMovable();
    expect(machine.inBlock(block, pageOf(process, 0))).toBe(true);
    const pages = run(pinUserPages(mm, at(0), 8, { write: true, longterm: true }));
    expect(pages).toHaveLength(8);
    for (const [i, page] of pages.entries()) {
      expect(vm.memmap.zoneOf(page)).not.toBe(ZoneType.Movable);
      expect(pageOf(process, i)).toBe(page);
      expect(read(process, i, 6)).toBe(`page ${i}`);
    }
    expect(machine.offline(block)).toBe(true);
    unpinUserPages(vm, pages);
  });

  test("leaves alone what may stay where it is", () => {
    const { mm, vm, process } = withMovable();
    const pages = run(pinUserPages(mm, at(0), 8, { write: true, longterm: true }));
    const again = run(pinUserPages(mm, at(0), 8, { write: true, longterm: true }));
    expect(again).toEqual(pages);
    unpinUserPages(vm, again);
    unpinUserPages(vm, pages);
    expect(pageOf(process, 0)).toBe(pages[0]);
  });

  test("that lasts for an I/O only leaves pages where they are", () => {
    const { mm, vm, process, machine, block } = withMovable();
    const pages = run(pinUserPages(mm, at(0), 1, { write: true }));
    expect(machine.inBlock(block, pageOf(process, 0))).toBe(true);
    unpinUserPages(vm, pages);
  });

  test("fails where somebody else holds the page, and pins nothing", () => {
    const { mm, vm, process } = withMovable();
    const held = run(pinUserPages(mm, at(3), 1, { write: true }));
    expect(outcome(() => run(pinUserPages(mm, at(0), 8, { write: true, longterm: true })))).toBe("ENOMEM");
    unpinUserPages(vm, held);
    for (let i = 0; i < 8; i++) expect(vm.memmap.refcount(pageOf(process, i))).toBe(1);
    expect(vm.memmap.test(pageOf(process, 3), PageFlag.lru)).toBe(true);
  });

  test("waits for a page that another task has isolated, until it is back on its list", () => {
    const { mm, vm, process } = withMovable();
    const page = pageOf(process, 0);
    expect(vm.lru.isolate(page)).toBe(true);
    const task = pinUserPages(mm, at(0), 1, { write: true, longterm: true });
    let step = task.next();
    while (step.done !== true && step.value.why !== "pages that another task isolated") step = task.next();
    const wait = step.value as Preempt;
    expect(wait.ready()).toBe(false);
    vm.lru.putback(page);
    expect(wait.ready()).toBe(true);
    const [pinned] = run(task);
    expect(pinned).toBe(pageOf(process, 0));
    expect(pinned).not.toBe(page);
  });

  test("without locks finds nothing in ZONE_MOVABLE, and moves pages with them", () => {
    const { mm, vm } = withMovable();
    const into = new Int32Array(8);
    const options = { write: true, longterm: true };
    expect(pinUserPagesFastOnly(mm, at(0), 8, options, into)).toBe(0);
    expect(run(pinUserPagesFast(mm, at(0), 8, options, into))).toBe(8);
    for (const page of into) expect(vm.memmap.zoneOf(page as Page)).not.toBe(ZoneType.Movable);
    unpinUserPages(vm, into);
    expect(pinUserPagesFastOnly(mm, at(0), 8, options, into)).toBe(8);
  });
});

describe("a device's page", () => {
  const withDevice = () => {
    const machine = deviceMachine();
    const process = machine.spawn();
    const mm = mmOf(process);
    mapAt(mm, BASE, BASE + 8 * 4096, { ops: {} });
    for (let i = 0; i < 4; i++) mm.pageTable.set(entryAt(mm, at(i)), machine.devicePage(i), DEVICE);
    return { machine, mm, process, vm: machine.vm, device: machine.device };
  };

  test("is held by its own reference: the pagemap is given back at once", () => {
    const { machine, mm, vm, device } = withDevice();
    const before = vm.memmap.refcount(machine.devicePage(0));
    const pages = run(pinUserPages(mm, at(0), 4, { write: true }));
    expect(pages).toEqual([0, 1, 2, 3].map((n) => machine.devicePage(n)));
    expect([device.held, device.taken]).toEqual([0, 4]);
    unpinUserPages(vm, pages);
    expect(vm.memmap.refcount(machine.devicePage(0))).toBe(before);
  });

  test("of a file on persistent memory is refused for long, and not for an I/O", () => {
    const { mm, vm, device } = withDevice();
    device.fsdax = true;
    const options = { write: true, longterm: true };
    expect(outcome(() => run(pinUserPages(mm, at(0), 4, options)))).toBe("EOPNOTSUPP");
    expect(outcome(() => run(pinUserPagesFast(mm, at(0), 4, options, new Int32Array(4))))).toBe("EOPNOTSUPP");
    const pages = run(pinUserPages(mm, at(0), 4, { write: true }));
    expect(pages).toHaveLength(4);
    unpinUserPages(vm, pages);
    expect(device.held).toBe(0);
  });

  test("that is coherent moves to RAM before a long pin, with a reference in place of its pin", () => {
    const { machine, mm, vm, device } = withDevice();
    device.coherent = true;
    const moved: Page[] = [];
    const ram = vm.pages.tryAlloc(0, 0, mm.node, undefined);
    device.migrateCoherent = function* (_vm, page) {
      moved.push(page);
      putGrabbedPage(vm, page, 1, Foll.GET);
      mm.pageTable.set(entryAt(mm, at(0)), ram, DEVICE & ~Pte.devmap);
      return true;
    };
    const pages = run(pinUserPages(mm, at(0), 1, { write: true, longterm: true }));
    expect(moved).toEqual([machine.devicePage(0)]);
    expect(pages).toEqual([ram]);
    expect(vm.memmap.refcount(machine.devicePage(0))).toBe(1);
  });

  test("that is coherent and can't move makes a long pin fail with EBUSY", () => {
    const { mm, vm, device } = withDevice();
    device.coherent = true;
    device.migrateCoherent = function* (_vm, page) {
      putGrabbedPage(vm, page, 1, Foll.GET);
      return false;
    };
    expect(outcome(() => run(pinUserPages(mm, at(0), 4, { write: true, longterm: true })))).toBe("EBUSY");
  });

  test("that can't move leaves no reference on the pages behind it, and pages of RAM on their lists", () => {
    const { machine, mm, process, vm, device } = withDevice();
    const block = machine.plug(0);
    mapAt(mm, BASE + 8 * 4096, BASE + 9 * 4096);
    write(process, 8, "movable");
    const [page] = run(pinUserPages(mm, at(8), 1, { write: true }));
    unpinUserPages(vm, [page as Page]);
    expect(machine.inBlock(block, page as Page)).toBe(true);
    for (let i = 4; i < 8; i++) mm.pageTable.set(entryAt(mm, at(i)), machine.devicePage(i), DEVICE);
    device.coherent = true;
    device.migrateCoherent = function* (_vm, failing) {
      putGrabbedPage(vm, failing, 1, Foll.GET);
      return false;
    };
    expect(outcome(() => run(pinUserPages(mm, at(0), 9, { write: true, longterm: true })))).toBe("EBUSY");
    for (let i = 0; i < 8; i++) expect(vm.memmap.refcount(machine.devicePage(i))).toBe(1);
    expect(vm.memmap.test(page as Page, PageFlag.lru)).toBe(true);
    expect(vm.memmap.refcount(page as Page)).toBe(1);
  });

  test("of a pagemap that is being torn down can't be had: whoever waits is found if nobody removes it", () => {
    const { mm, device } = withDevice();
    device.dying = true;
    expect(() => run(pinUserPages(mm, at(0), 1, { write: true }))).toThrow(/teardown of a pagemap/);
  });

  test("of a pagemap that is being torn down makes the lockless walk give back the pages of its table", () => {
    const { machine, mm, vm, device } = withDevice();
    const into = new Int32Array(4);
    const { tryGetPagemap } = vm.devices;
    let asked = 0;
    Object.assign(vm.devices, { tryGetPagemap: (page: Page) => ++asked < 3 && tryGetPagemap(page) });
    expect(pinUserPagesFastOnly(mm, at(0), 4, { write: true }, into)).toBe(0);
    expect([0, 1, 2, 3].map((n) => vm.memmap.refcount(machine.devicePage(n)))).toEqual([1, 1, 1, 1]);
    expect(device.held).toBe(0);
  });
});
