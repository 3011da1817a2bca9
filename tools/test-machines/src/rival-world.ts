// The world of rivals: a process with written anonymous memory, a memfd and a file, a child that shares all of it,
// swap, and a block of memory that may go offline, in which most of its pages lie.
import { condResched, MiB, Random, run, type Sleeps, type VirtAddr, virtAddr } from "@hetmem/kernel";
import {
  exitProcess,
  forkProcess,
  MapFlag,
  mmap,
  type MmStruct,
  type Process,
  Prot,
  readUser,
  writeUser,
} from "@hetmem/mm";
import { MmuNotifier, mmuNotifierRegister } from "@hetmem/mmu-notifier";
import { createDiskFile, fileVmOps, memfdCreate, OpenFile, truncate } from "@hetmem/page-cache";
import { swapSpace } from "@hetmem/reclaim";
import { hotplugVmMachine, type HotplugVmMachine } from "./hotplug-vm-machine.ts";
import { mmOf, PAGE, pageAt } from "./vm-machine.ts";

/** Pages of each area. */
export const PAGES = 4;
export const ANON = virtAddr(0x1000_0000);
export const SHMEM = virtAddr(0x2000_0000);
export const FILE = virtAddr(0x3000_0000);
export const PRIVATE_FILE = virtAddr(0x4000_0000);
/** Target address of mremap(). */
export const ELSEWHERE = virtAddr(0x5000_0000);
const AREAS: readonly VirtAddr[] = [ANON, SHMEM, FILE, PRIVATE_FILE];

const CONTENTS = Uint8Array.from({ length: PAGES * PAGE }, (_, i) => i % 127);

export interface RivalWorld {
  readonly machine: HotplugVmMachine;
  readonly random: Random;
  readonly parent: Process;
  readonly child: Process;
  readonly memfd: OpenFile;
  readonly file: OpenFile;
  /** Free pages before the tasks ran. */
  readonly freeAtStart: number;
}

export function rivalMachine(): HotplugVmMachine {
  const machine = hotplugVmMachine({
    nodes: [
      { size: 16 * MiB, cpus: [0] },
      { size: 8 * MiB, cpus: [1] },
    ],
    room: 1,
  });
  swapSpace(machine.vm).swapon({ path: "/dev/swap", size: 4 * MiB });
  return machine;
}

export function rivalWorld(machine: HotplugVmMachine, seed: number): RivalWorld {
  const { vm } = machine;
  const random = new Random(seed);
  const freeAtStart = machine.freePages();
  const memfd = memfdCreate(vm, "rival", 0);
  run(truncate(memfd.host, PAGES * PAGE));
  const file = new OpenFile(createDiskFile(vm, 9, CONTENTS), {
    path: "/rival",
    writable: true,
    vmOps: fileVmOps,
  });
  const parent = machine.spawn("parent");
  const mm = mmOf(parent);
  for (const area of AREAS) run(mapArea(mm, area, area === SHMEM ? memfd : area === ANON ? undefined : file));
  for (const area of AREAS)
    for (let i = 0; i < PAGES - 1; i++) run(writeUser(parent, pageAt(area, i), Uint8Array.of(i + 1)));
  const child = run(forkProcess(parent));
  // In two worlds of three a driver with sleeping callbacks mirrors both processes, so every change of their page
  // tables can be preempted. In the third there are no notifiers, and pages migrate in one step.
  for (const process of random.chance(2, 3) ? [parent, child] : [])
    run(
      mmuNotifierRegister(
        new MmuNotifier({ invalidateRangeStart: slowly, invalidateRangeEnd: slow }, undefined),
        mmOf(process),
      ),
    );
  return { machine, random, parent, child, memfd, file, freeAtStart };
}

function* slow(): Sleeps<void> {
  yield condResched;
}

function* slowly(): Sleeps<boolean> {
  yield condResched;
  return true;
}

/** Ends everything; memory that is not free afterwards has leaked. */
export function endOfWorld({ machine, memfd, file }: RivalWorld): void {
  for (const process of machine.vm.processes) run(exitProcess(process));
  for (const open of [memfd, file]) {
    run(truncate(open.host, 0));
    run(open.close());
  }
}

export function anyArea({ random }: RivalWorld): VirtAddr {
  return AREAS[random.below(AREAS.length)] as VirtAddr;
}

/** Writes a byte to every page of an area and reads it back. A signal ends it: the area was unmapped or cut. */
export function* writeAndCheck(process: Process, area: VirtAddr, byte: number): Sleeps<void> {
  const into = new Uint8Array(1);
  for (let i = 0; i < PAGES; i++) {
    if (yield* writeUser(process, pageAt(area, i), Uint8Array.of(byte))) return;
    if (yield* readUser(process, pageAt(area, i), into)) return;
    if (area === ANON && into[0] !== byte && process.mm && !process.mm.unstable)
      throw new Error(`page ${i} reads ${into[0]} behind a write of ${byte}`);
  }
}

/** Reads every page of an area, up to the first that isn't mapped. */
export function* readAll(process: Process, area: VirtAddr): Sleeps<void> {
  for (let i = 0; i < PAGES; i++) if (yield* readUser(process, pageAt(area, i), new Uint8Array(1))) return;
}

function* mapArea(mm: MmStruct, address: VirtAddr, file: OpenFile | undefined): Sleeps<void> {
  const shared = address === SHMEM || address === FILE;
  yield* mmap(mm, {
    address,
    length: PAGES * PAGE,
    prot: Prot.READ | Prot.WRITE,
    flags: MapFlag.FIXED | (shared ? MapFlag.SHARED : MapFlag.PRIVATE) | (file ? 0 : MapFlag.ANONYMOUS),
    ...(file && { file }),
  });
}
