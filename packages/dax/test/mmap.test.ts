// Processes map a device: what mmap() takes, which entries faults make, and what happens when the device goes.
import { getUserPagesFast, putUserPages } from "@hetmem/gup";
import { assertInvariants, GiB, MiB, run, type VirtAddr } from "@hetmem/kernel";
import {
  forkProcess,
  MapFlag,
  munmap,
  type Process,
  Prot,
  readUser,
  userFault,
  vmInvariants,
  writeUser,
} from "@hetmem/mm";
import { Pte } from "@hetmem/page-table";
import { expect, test } from "vitest";
import {
  addHmem,
  addNamespace,
  daxMachine,
  mapDevice,
  smallNamespace,
} from "@hetmem/test-machines/dax-machine";
import { outcome } from "@hetmem/test-machines/outcome";

const TEXT = new TextEncoder().encode("written through /dev/dax0.0");

function machineWith(align: number, bytes = 4 * MiB) {
  const machine = daxMachine();
  const { device, release } = addNamespace(machine, smallNamespace(bytes, { align }));
  return { machine, device, release, process: machine.spawn() };
}

function readBack(process: Process, address: number): string {
  const bytes = new Uint8Array(TEXT.length);
  expect(run(readUser(process, address as VirtAddr, bytes))).toBeUndefined();
  return new TextDecoder().decode(bytes);
}

/** Flags of the entry that maps an address, of either size. */
function entryFlags({ mm }: Process, address: number): number {
  const table = mm?.pageTable;
  const entry = table?.find(address as VirtAddr) ?? -1;
  return (entry >= 0 ? table?.flags(entry) : table?.flags(table.findPmd(address as VirtAddr))) ?? 0;
}

test("what one process writes another one reads, at the same place of the device", () => {
  const { machine, device, process } = machineWith(2 * MiB);
  const other = machine.spawn("other");
  const at = run(mapDevice(machine, process, device, { length: 4 * MiB }));
  const there = run(mapDevice(machine, other, device, { length: 2 * MiB, offset: 2 * MiB }));
  run(writeUser(process, (at + 2 * MiB + 77) as VirtAddr, TEXT));
  expect(readBack(other, there + 77)).toBe("written through /dev/dax0.0");
  expect(readBack(process, at)).not.toBe(readBack(other, there + 77));
});

test("a device of 2 MiB is mapped by entries of 2 MiB, one of 4 KiB by entries of 4 KiB", () => {
  for (const [align, huge] of [
    [2 * MiB, Pte.huge],
    [4096, 0],
  ] as const) {
    const { machine, device, process } = machineWith(align);
    const at = run(mapDevice(machine, process, device, { length: 4 * MiB }));
    expect(at % align).toBe(0);
    run(writeUser(process, (at + 4096) as VirtAddr, TEXT));
    expect(entryFlags(process, at + 4096) & (Pte.present | Pte.devmap | Pte.huge)).toBe(
      Pte.present | Pte.devmap | huge,
    );
    assertInvariants(machine.vm, vmInvariants);
  }
});

test("a device of 1 GiB is mapped by entries of 2 MiB, since there are no larger ones here", () => {
  const machine = daxMachine();
  const region = addHmem(machine, { size: GiB });
  const [device] = region.devices;
  machine.write("/sys/bus/dax/drivers/device_dax/unbind", "dax1.0");
  machine.write("/sys/bus/dax/devices/dax1.0/align", `${GiB}`);
  machine.write("/sys/bus/dax/drivers/device_dax/bind", "dax1.0");
  const process = machine.spawn();
  if (!device) throw new Error("no device");
  expect(outcome(() => run(mapDevice(machine, process, device, { length: 2 * MiB })))).toBe("EINVAL");
  const at = run(mapDevice(machine, process, device, { length: GiB }));
  run(writeUser(process, (at + 512 * MiB) as VirtAddr, TEXT));
  expect([at % GiB, entryFlags(process, at + 512 * MiB) & Pte.huge]).toEqual([0, Pte.huge]);
});

test("a mapping is shared, and begins and ends at the device's alignment", () => {
  const { machine, device, process } = machineWith(2 * MiB);
  const map = (request: object): string =>
    outcome(() => run(mapDevice(machine, process, device, { length: 2 * MiB, ...request })));
  expect(map({ flags: MapFlag.PRIVATE })).toBe("EINVAL");
  expect(map({ length: MiB })).toBe("EINVAL");
  expect(map({ flags: MapFlag.SHARED | MapFlag.FIXED, address: 0x7000_0000_1000 })).toBe("EINVAL");
  expect(map({ flags: MapFlag.SHARED_VALIDATE | MapFlag.SYNC })).toBe("done");
  expect(map({ prot: Prot.READ })).toBe("done");
});

test("a mapping can be divided at the alignment, and nowhere else", () => {
  const { machine, device, process } = machineWith(2 * MiB);
  const at = run(mapDevice(machine, process, device, { length: 4 * MiB }));
  const { mm } = process;
  if (!mm) throw new Error("no mm");
  expect(outcome(() => run(munmap(mm, (at + 4096) as VirtAddr, 4096)))).toBe("EINVAL");
  expect(outcome(() => run(munmap(mm, (at + 2 * MiB) as VirtAddr, 2 * MiB)))).toBe("done");
});

test("a touch behind the end of the device is SIGBUS", () => {
  const { machine, device, process } = machineWith(4096, 2 * MiB);
  const at = run(mapDevice(machine, process, device, { length: 4 * MiB }));
  expect(run(writeUser(process, at, TEXT))).toBeUndefined();
  expect(run(writeUser(process, (at + 2 * MiB) as VirtAddr, TEXT))).toMatchObject({
    signo: "SIGBUS",
    code: "BUS_ADRERR",
  });
});

test("a device of 2 MiB that isn't placed at 2 MiB of the file gives SIGBUS, not another page", () => {
  const { machine, device, process } = machineWith(2 * MiB);
  const at = run(mapDevice(machine, process, device, { length: 2 * MiB, offset: 4096 }));
  expect(run(userFault(process, at, 0))).toMatchObject({ signo: "SIGBUS" });
});

test("a child of a fork sees the device where its parent does", () => {
  const { machine, device, process } = machineWith(2 * MiB);
  const at = run(mapDevice(machine, process, device, { length: 2 * MiB }));
  run(writeUser(process, at, TEXT));
  const child = run(forkProcess(process));
  expect(readBack(child, at)).toBe("written through /dev/dax0.0");
});

test("when the driver is unbound, what is mapped goes, and a touch is SIGBUS until it is bound again", () => {
  const { machine, device, process } = machineWith(2 * MiB);
  const at = run(mapDevice(machine, process, device, { length: 2 * MiB }));
  run(writeUser(process, at, TEXT));
  machine.write("/sys/bus/dax/drivers/device_dax/unbind", "dax0.0");
  expect(entryFlags(process, at)).toBe(0);
  expect(run(writeUser(process, at, TEXT))).toMatchObject({ signo: "SIGBUS", code: "BUS_ADRERR" });
  expect(outcome(() => mapDevice(machine, process, device, { length: 2 * MiB }))).toBe("ENXIO");
  machine.write("/sys/bus/dax/drivers/device_dax/bind", "dax0.0");
  expect(run(writeUser(process, at, TEXT))).toBeUndefined();
});

test("unbinding waits for a page that gup holds, new lookups fail meanwhile, and the last put lets it go on", () => {
  const { machine, device, process } = machineWith(2 * MiB);
  const at = run(mapDevice(machine, process, device, { length: 2 * MiB }));
  const { mm, pages } = { mm: process.mm, pages: new Int32Array(1) };
  if (!mm) throw new Error("no mm");
  expect(run(getUserPagesFast(mm, at, 1, { write: true }, pages))).toBe(1);
  const unbind = machine.vfs.write("/sys/bus/dax/drivers/device_dax/unbind", "dax0.0\n");
  const waiting = stepUntilBlocked(unbind);
  expect(waiting).toContain("pagemap of dax0.0");
  expect([device.alive, machine.pagemaps.getDevPagemap((0x1_0120_0000 / 4096) as never)]).toEqual([
    false,
    undefined,
  ]);
  putUserPages(machine.vm, [pages[0] as never]);
  run(unbind);
  expect(device.driver).toBeUndefined();
  expect(machine.pagemaps.mapped()).toEqual([]);
});

test("a mapping that outlives its device keeps the inode until it goes, and nothing after", () => {
  const { machine, device, process, release } = machineWith(2 * MiB);
  const mappings = (): number => [...machine.vm.mappings].length;
  const before = mappings();
  const at = run(mapDevice(machine, process, device, { length: 2 * MiB }));
  run(release());
  expect(mappings()).toBe(before);
  expect(run(userFault(process, at, 0))).toMatchObject({ signo: "SIGBUS" });
  if (process.mm) run(munmap(process.mm, at, 2 * MiB));
  expect(mappings()).toBe(before - 1);
});

/** Runs a task until it can't go on. @returns what it waits for */
function stepUntilBlocked(task: Generator<{ why: string; ready(): boolean }, unknown, void>): string {
  for (;;) {
    const step = task.next();
    if (step.done) return "nothing";
    if (!step.value.ready()) return step.value.why;
  }
}
