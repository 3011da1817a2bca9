// Eviction of device memory to RAM, by frame number and without knowledge of mappings. Victims are chosen by a clock
// hand with a second chance: a page referenced by the engine since the hand's last pass is kept once. Kernel
// counterparts: dmirror_device_evict_chunk() in lib/test_hmm.c, nouveau_dmem_evict_chunk().
import type { Sleeps } from "@hetmem/kernel";
import {
  createMigratePfns,
  migrateDeviceFinalize,
  migrateDevicePages,
  migrateDeviceRange,
} from "@hetmem/hmm-migrate";
import type { Gpu } from "./gpu.ts";
import { bringToRam, type MigrateArrays, pagesMoved } from "./migrate-copy.ts";

/** Maximum number of frames per migration. */
const BATCH = 64;

/** Evicts up to `wanted` pages. @returns the number of evicted pages */
export function* evictPages(gpu: Gpu, wanted: number): Sleeps<number> {
  const { memory } = gpu;
  let gone = 0;
  // Two rounds: the first clears referenced flags, the second evicts.
  for (let looks = 2 * memory.pages; looks > 0 && gone < wanted && memory.usedPages > 0;) {
    const passed = passToVictim(gpu, looks);
    looks -= passed;
    const count = victimsAtHand(gpu, Math.min(wanted - gone, BATCH, looks));
    looks -= count;
    if (count > 0) gone += yield* evictFrames(gpu, gpu.evictionHand, count);
    gpu.evictionHand = (gpu.evictionHand + count) % memory.pages;
  }
  gpu.stats.evicted += gone;
  return gone;
}

/** Advances the hand to the next victim. @returns the number of frames passed */
function passToVictim(gpu: Gpu, looks: number): number {
  const { memory } = gpu;
  let passed = 0;
  while (passed < looks && !memory.isVictim(gpu.evictionHand)) {
    gpu.evictionHand = (gpu.evictionHand + 1) % memory.pages;
    passed++;
  }
  return passed;
}

/** Number of consecutive victims from the hand on. */
function victimsAtHand({ evictionHand, memory }: Gpu, most: number): number {
  let count = 0;
  while (count < most && evictionHand + count < memory.pages && memory.isVictim(evictionHand + count))
    count++;
  return count;
}

function* evictFrames(gpu: Gpu, first: number, npages: number): Sleeps<number> {
  const { memory, vm } = gpu;
  const arrays: MigrateArrays = { src: createMigratePfns(npages), dst: createMigratePfns(npages), npages };
  yield* migrateDeviceRange(vm, arrays.src, memory.pfnOf(first), npages);
  yield* bringToRam(gpu, arrays, gpu.node);
  yield* migrateDevicePages(vm, arrays.src, arrays.dst, npages);
  const moved = pagesMoved(arrays);
  yield* migrateDeviceFinalize(vm, arrays.src, arrays.dst, npages);
  return moved;
}
