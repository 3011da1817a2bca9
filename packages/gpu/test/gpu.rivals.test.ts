// What a device does for a process, beside whoever takes its pages away: see rivals.ts.
import { type Sleeps } from "@hetmem/kernel";
import { mapInPlace, prefetchBlocks } from "../src/driver/index.ts";
import { at, BASE } from "@hetmem/test-machines/gpu-machine";
import { firstByte, type GpuWorld, PAGES, testPaths, testRace } from "./rivals.ts";
import { PAGE } from "@hetmem/test-machines/vm-machine";

/** The device writes each page's byte again. */
function* writeAll({ context }: GpuWorld): Sleeps<void> {
  for (let page = 0; page < PAGES; page++) yield* context.write(at(page), Uint8Array.of(firstByte(page)));
}

/** Where the memory, the process, the device's memory or the device itself goes. */
const GONE = ["path: EFAULT", "path: ESRCH", "path: ENODEV"];

testPaths(
  {
    *"a read of the device"({ context }) {
      yield* context.read(BASE, new Uint8Array(PAGES * PAGE));
    },
    "a write of the device": writeAll,
    *"a migration to the device and back"({ context }) {
      yield* context.migrateTo(BASE, PAGES * PAGE);
      yield* context.migrateBack(BASE, PAGES * PAGE);
    },
    *"an atomic operation"({ context, childContext }) {
      yield* context.atomicAdd(at(3, 8), 1);
      yield* context.exclusive(at(1), 2 * PAGE);
      yield* childContext.atomicAdd(at(3, 8), 1);
    },
    *"a snapshot"({ context, childContext }) {
      yield* context.snapshot(BASE, PAGES * PAGE);
      yield* childContext.snapshot(BASE, PAGES * PAGE);
    },
    *"an eviction"({ gpu }) {
      yield* gpu.evict(3);
    },
    *"the end of a mirror"(world) {
      yield* world.childContext.read(at(0), new Uint8Array(PAGE));
      yield* world.childContext.close();
      yield* world.context.close();
    },
  },
  {},
  {
    "a write of the device": [...GONE, "path: EIO"],
    "a migration to the device and back": ["path: EINVAL", "path: ESRCH", "path: ENODEV"],
    "an atomic operation": [...GONE, "path: EIO"],
    "the end of a mirror": ["a second mirror: EBADF"],
  },
);

for (const policy of [mapInPlace, prefetchBlocks(2 * PAGE)]) {
  testPaths(
    {
      *[`coherent memory with the policy ${policy.name}`](world) {
        yield* world.context.migrateTo(at(1), 2 * PAGE);
        yield* writeAll(world);
        yield* world.context.migrateBack(BASE, 2 * PAGE);
      },
    },
    { memoryType: "coherent", policy },
    { [`coherent memory with the policy ${policy.name}`]: GONE },
  );
}

testPaths(
  {
    *"a policy that brings neighbours along"(world) {
      yield* writeAll(world);
      yield* world.childContext.read(at(2), new Uint8Array(1));
    },
  },
  { policy: prefetchBlocks(2 * PAGE) },
  { "a policy that brings neighbours along": [...GONE, "path: EIO"] },
);

testRace(
  "a page that becomes the device's alone",
  function* ({ context }) {
    yield* context.exclusive(at(2), PAGE);
  },
  "MADV_DONTNEED",
);
