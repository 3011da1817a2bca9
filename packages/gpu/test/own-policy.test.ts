// A policy of one's own: what drivers do by it, how a machine finds one by its name, and the page that shows it.
import { readFileSync } from "node:fs";
import { KernelError, run } from "@hetmem/kernel";
import {
  at,
  BASE,
  cpuRead,
  gpuMachine,
  gpuRead,
  gpuWrite,
  mapAnon,
  pageAt,
} from "@hetmem/test-machines/gpu-machine";
import { PAGE } from "@hetmem/test-machines/vm-machine";
import { expect, expectTypeOf, test } from "vitest";
import { onWrite } from "../examples/on-write.ts";
import {
  migrateAfter,
  type MigrationPolicy,
  type MigrationPolicyChoice,
  type MigrationPolicyFamily,
  migrationPolicyNamed,
  standardMigrationPolicies,
} from "../src/driver/index.ts";

test("a page that the device writes to comes to it, and the cpu gets it back alone", () => {
  const machine = gpuMachine({ policy: onWrite });
  const process = machine.spawn();
  mapAnon(process, 4);
  const context = machine.open(process);
  for (const page of [0, 1]) gpuWrite(context, at(page), 5);
  for (const page of [2, 3]) gpuRead(context, at(page));
  const local = (): number[] =>
    [0, 1, 2, 3].filter((page) => machine.gpu.memory.owns(pageAt(process, at(page))));
  expect(local()).toEqual([0, 1]);
  expect(cpuRead(process, at(1))).toBe(5);
  expect(local()).toEqual([0]);
  machine.check();
});

test("a policy that asks for more than is mapped is clipped, to the device and back", () => {
  const machine = gpuMachine({
    policy: {
      name: "greedy",
      onMiss: () => ({ start: at(-8), end: at(64) }),
      onCpuTouch: () => ({ start: at(-8), end: at(64) }),
    },
  });
  const process = machine.spawn();
  mapAnon(process, 4);
  const context = machine.open(process);
  run(context.read(BASE, new Uint8Array(PAGE)));
  expect(machine.gpu.memory.usedPages).toBe(4);
  expect(cpuRead(process, at(2))).toBe(0);
  expect(machine.gpu.memory.usedPages).toBe(0);
  machine.check();
});

const CHOICES: readonly MigrationPolicyChoice[] = [onWrite, ...standardMigrationPolicies];

test.each([
  ["on-write", "on-write"],
  ["map-in-place", "map-in-place"],
  ["prefetch-64K", "prefetch-64k"],
  ["prefetch-2m", "prefetch-2048k"],
  ["migrate-after-3", "migrate-after-3"],
])("%s is found by its name", (name, found) => {
  expect(migrationPolicyNamed(name, CHOICES).name).toBe(found);
});

test("the first choice with a name has it", () => {
  const mine: MigrationPolicy = { ...onWrite, name: "prefetch-64K" };
  expect(migrationPolicyNamed("prefetch-64K", [mine, ...CHOICES])).toBe(mine);
});

test.each([
  ["on-writes", "on-write"],
  ["prefetch-5", "prefetch-64K"],
  ["prefetch-0K", "prefetch-64K"],
  ["prefetch-64Kx", "prefetch-64K"],
  ["migrate-after-0", "migrate-after-3"],
  ["migrate-after-", "migrate-after-3"],
])("a name that no choice has is EINVAL, with the nearest and with what there is: %s", (name, nearest) => {
  expect(() => migrationPolicyNamed(name, CHOICES)).toThrow(
    new KernelError(
      "EINVAL",
      `"${name}" is no migration policy of this machine (did you mean ${nearest}?): write on-write, map-in-place, migrate-on-touch, prefetch-64K, migrate-after-3`,
    ),
  );
});

test("a name that is like none has no nearest", () => {
  expect(() => migrationPolicyNamed("lru", CHOICES)).toThrow(
    '"lru" is no migration policy of this machine: write',
  );
});

test("without choices, no name is one", () => {
  expect(() => migrationPolicyNamed("on-write", [])).toThrow("machine: there is none");
});

test("policies and families are choices; half a policy is none", () => {
  const family: MigrationPolicyFamily = { example: "after-9", named: () => migrateAfter(9) };
  expectTypeOf(family).toExtend<MigrationPolicyChoice>();
  expectTypeOf(onWrite).toExtend<MigrationPolicyChoice>();
  expectTypeOf<Omit<MigrationPolicy, "onCpuTouch">>().not.toExtend<MigrationPolicyChoice>();
  expectTypeOf<() => MigrationPolicy>().not.toExtend<MigrationPolicyChoice>();
  expect(migrationPolicyNamed("anything", [family]).name).toBe("migrate-after-9");
});

test("the page of the port shows the example as it is", () => {
  const text = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
  const [, shown] = /```ts\n([\s\S]*?)```/.exec(text("../../../docs/ports/migration-policy.md")) ?? [];
  expect(shown).toBe(text("../examples/on-write.ts"));
});
