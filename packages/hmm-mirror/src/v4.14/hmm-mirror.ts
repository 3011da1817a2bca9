// A mirror: a device's copy of an address space's page table, kept coherent by a callback before every change. Kernel
// counterpart: struct hmm_mirror, hmm_mirror_register() and hmm_mirror_unregister() in 4.14.
import { KernelBug, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmapAssertWriteLocked, type MmStruct } from "@hetmem/mm";
import type { MmuNotifier } from "@hetmem/mmu-notifier";
import { getHmm, type Hmm, putHmm } from "./hmm.ts";

/** The cause of a callback; there is only one. @see enum hmm_update_type */
export type HmmUpdateType = "invalidate";

/** Port: a driver's callbacks. @see struct hmm_mirror_ops */
export interface HmmMirrorOps<D = unknown> {
  /**
   * [start, end) is about to change. The driver takes its lock, removes the range from the device's page table, and
   * waits until the device no longer uses the pages. The pages may be freed and reused after the return. Must not
   * take the mmap lock, and must not unregister the mirror.
   */
  syncCpuDevicePagetables(
    mirror: HmmMirror<D>,
    update: HmmUpdateType,
    start: VirtAddr,
    end: VirtAddr,
  ): Sleeps<void>;
  /**
   * The address space exits: the device must stop using it, and its accesses fail from now on. The mirror is already
   * off the list. The mirror may be unregistered here, and must be unregistered eventually.
   */
  release?(mirror: HmmMirror<D>): Sleeps<void>;
}

export class HmmMirror<D = unknown> {
  readonly ops: HmmMirrorOps<D>;
  /** Private data of the driver. */
  readonly data: D;
  /** The notifier that holds the struct hmm; undefined while the mirror isn't registered. */
  life: MmuNotifier<Hmm> | undefined = undefined;

  constructor(ops: HmmMirrorOps<D>, data: D) {
    this.ops = ops;
    this.data = data;
  }
}

/**
 * Registers a mirror for every change of an address space, until hmmMirrorUnregister(). The mmap lock is held for
 * writing. All mirrors of an address space share one struct hmm.
 *
 * @throws KernelError ENOMEM without memory for the struct hmm
 * @throws KernelBug without the lock, for an address space without users, for a registered mirror
 * @see hmm_mirror_register()
 */
export function* hmmMirrorRegister(mirror: HmmMirror, mm: MmStruct): Sleeps<void> {
  mmapAssertWriteLocked(mm, "gets a mirror");
  if (mirror.life !== undefined)
    throw new KernelBug(`a mirror comes to mm ${mm.id}, and is registered already`);
  const life = yield* getHmm(mm);
  mirror.life = life;
  const { mirrorsSem, mirrors } = life.data;
  yield* mirrorsSem.downWrite();
  mirrors.push(mirror);
  mirrorsSem.upWrite();
}

/**
 * Unregisters a mirror. On return no callback of the mirror runs or will run. The driver must first have stopped the
 * device and emptied its page table: changes that begin during this call are not notified. Must not be called with a
 * lock that the callbacks take.
 *
 * @throws KernelBug for an unregistered mirror
 * @see hmm_mirror_unregister()
 */
export function* hmmMirrorUnregister(mirror: HmmMirror): Sleeps<void> {
  const { life } = mirror;
  if (life === undefined) throw new KernelBug("a mirror is unregistered that isn't registered");
  mirror.life = undefined;
  const hmm = life.data;
  yield* hmm.mirrorsSem.downWrite();
  hmm.mirrors = hmm.mirrors.filter((other) => other !== mirror);
  hmm.mirrorsSem.upWrite();
  yield* putHmm(life);
}
