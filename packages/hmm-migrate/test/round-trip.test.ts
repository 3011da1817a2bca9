import { run } from "@hetmem/kernel";
import { exitProcess } from "@hetmem/mm";
import { EntryKind, entryKind, isDevicePrivate, Pte } from "@hetmem/page-table";
import { expect, test } from "vitest";
import {
  BASE,
  entryAt,
  migrateMachine,
  read,
  TestDevice,
  write,
} from "@hetmem/test-machines/migrate-machine";
import { mmOf } from "@hetmem/test-machines/vm-machine";

test("pages go to the device and come back when the cpu touches them", () => {
  const machine = migrateMachine();
  const device = new TestDevice(machine);
  const process = machine.spawn(8);
  for (let i = 0; i < 8; i++) write(process, i, i + 1);
  machine.check();
  expect(run(device.migrateTo(mmOf(process), BASE, 8))).toBe(8);
  machine.check();
  for (let i = 0; i < 8; i++) expect(entryKind(entryAt(process, i).flags)).toBe(EntryKind.devicePrivateWrite);
  for (let i = 0; i < 8; i++) expect(read(process, i)).toBe(i + 1);
  machine.check();
  expect(device.faults).toBe(8);
  for (let i = 0; i < 8; i++)
    expect(entryAt(process, i).flags & (Pte.present | Pte.write)).toBe(Pte.present | Pte.write);
  expect([...device.freed.values()]).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  expect(isDevicePrivate(entryAt(process, 0).flags)).toBe(false);
  run(exitProcess(process));
  machine.check();
});
