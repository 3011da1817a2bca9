// Whatever order writes, migrations both ways, evictions, forks, unmaps and exits come in, every process reads what a
// plain array of bytes says, and each page of the device comes back as often as it was handed out.
import { MiB, run } from "@hetmem/kernel";
import { defaultPagemapPolicies, MemoryType } from "@hetmem/memremap";
import { exitProcess, forkProcess, munmap, type Process } from "@hetmem/mm";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LATER } from "@hetmem/test-machines/pagemap-machine";
import { migrateMachine, pageAt, read, TestDevice, write } from "@hetmem/test-machines/migrate-machine";
import { PAGE, mmOf } from "@hetmem/test-machines/vm-machine";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 60);
const PAGES = 6;
const DEVICE_PAGES = 8;

const page = fc.nat(PAGES - 1);
const who = fc.nat(3);
const operation = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant("write" as const),
      who,
      page,
      byte: fc.integer({ min: 1, max: 255 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constantFrom("toDevice" as const, "toRam" as const),
      who,
      page,
      pages: fc.integer({ min: 1, max: PAGES }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("read" as const), who, page }) },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant("evict" as const),
      first: fc.nat(DEVICE_PAGES - 1),
      pages: fc.integer({ min: 1, max: DEVICE_PAGES }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constantFrom("fork" as const, "exit" as const), who }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("unmap" as const), who, page }) },
);

/** A process, and what it must read: undefined where nothing is mapped. */
interface Modelled {
  readonly process: Process;
  readonly bytes: (number | undefined)[];
}

const MEMORIES = [
  { name: "private", type: MemoryType.DevicePrivate, policies: LATER },
  { name: "private, idle at one", type: MemoryType.DevicePrivate, policies: defaultPagemapPolicies },
  { name: "coherent", type: MemoryType.DeviceCoherent, policies: LATER },
  { name: "public", type: MemoryType.DevicePublic, policies: defaultPagemapPolicies },
];

for (const { name, type, policies } of MEMORIES) {
  test(`random programs on ${name} device memory read what a plain byte model says`, () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (program) => {
        const machine = migrateMachine({ ram: 8 * MiB, policies });
        const device = new TestDevice(machine, { type, pages: DEVICE_PAGES });
        const free = machine.freePages();
        const alive: Modelled[] = [
          { process: machine.spawn(PAGES), bytes: Array.from({ length: PAGES }, () => 0) },
        ];
        for (const step of program) {
          if (step.what === "evict")
            run(device.evict(step.first, Math.min(step.pages, DEVICE_PAGES - step.first)));
          else apply(step, device, alive);
          machine.check();
        }
        for (const { process, bytes } of alive)
          for (const [i, byte] of bytes.entries())
            if (byte !== undefined) expect(read(process, i)).toBe(byte);
        machine.check();
        for (const { process } of alive) run(exitProcess(process));
        expect(machine.freePages()).toBe(free);
        expect(device.idle.length).toBe(DEVICE_PAGES);
        expect(new Set(device.idle).size).toBe(DEVICE_PAGES);
      }),
      { numRuns: RUNS },
    );
  });
}

type Step = Exclude<typeof operation extends fc.Arbitrary<infer T> ? T : never, { what: "evict" }>;

function apply(step: Step, device: TestDevice, alive: Modelled[]): void {
  const subject = alive[step.who % alive.length];
  if (!subject) return;
  const { process, bytes } = subject;
  switch (step.what) {
    case "write":
      if (bytes[step.page] === undefined) return;
      write(process, step.page, step.byte);
      bytes[step.page] = step.byte;
      return;
    case "read":
      if (bytes[step.page] !== undefined) expect(read(process, step.page)).toBe(bytes[step.page]);
      return;
    case "toDevice":
      run(device.migrateTo(mmOf(process), pageAt(step.page), step.pages));
      return;
    case "toRam":
      run(device.migrateBack(mmOf(process), pageAt(step.page), step.pages));
      return;
    case "fork":
      if (alive.length < 4) alive.push({ process: run(forkProcess(process)), bytes: [...bytes] });
      return;
    case "exit":
      if (alive.length === 1) return;
      run(exitProcess(process));
      alive.splice(alive.indexOf(subject), 1);
      return;
    case "unmap":
      run(munmap(mmOf(process), pageAt(step.page), PAGE));
      bytes[step.page] = undefined;
  }
}
