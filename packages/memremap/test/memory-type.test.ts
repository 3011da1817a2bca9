// The table of what each kind of device memory allows: one in the code, and the same in the README.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  coherentDeviceMemory,
  idleAtOne,
  idleAtZero,
  MEMORY_TYPES,
  MemoryType,
  privateDeviceMemory,
  publicDeviceMemory,
} from "../src/index.ts";

const yes = (value: boolean): string => (value ? "yes" : "no");

test("the README says what the code does", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  for (const rules of Object.values(MEMORY_TYPES)) {
    const { name, addressable, cacheMode, allocatedByDriver, migratable, longtermPins, needs } = rules;
    const from = allocatedByDriver ? "its driver" : "all at once";
    const brings = needs.map((need) => `\`${need}\``).join(", ");
    const cells = [
      `\`${name}\``,
      yes(addressable),
      cacheMode,
      from,
      yes(migratable),
      yes(longtermPins),
      brings,
    ];
    expect(readme).toContain(`| ${cells.join(" | ")} |`.replace("|  |", "| |"));
  }
});

test("only private memory is out of the cpu's reach, and needs a way back", () => {
  const types = Object.values(MemoryType);
  expect(types.filter((type) => !MEMORY_TYPES[type].addressable)).toEqual([MemoryType.DevicePrivate]);
  expect(types.filter((type) => MEMORY_TYPES[type].needs.includes("migrateToRam"))).toEqual([
    MemoryType.DevicePrivate,
  ]);
});

test("memory that a process's pages may live in can't be pinned for long, and is handed out page by page", () => {
  for (const { migratable, longtermPins, allocatedByDriver } of Object.values(MEMORY_TYPES)) {
    expect(allocatedByDriver).toBe(migratable);
    expect(migratable && longtermPins).toBe(false);
  }
});

test("public memory went before coherent memory came, and no release knows both", () => {
  for (const policy of [publicDeviceMemory, privateDeviceMemory, coherentDeviceMemory])
    expect(policy.has(MemoryType.DevicePublic) && policy.has(MemoryType.DeviceCoherent)).toBe(false);
});

test("an idle page had one reference, and has none now where its driver hands it out", () => {
  for (const type of Object.values(MemoryType)) {
    expect(idleAtOne(type)).toBe(1);
    expect(idleAtZero(type)).toBe(MEMORY_TYPES[type].allocatedByDriver ? 0 : 1);
  }
});
