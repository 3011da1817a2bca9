// A mirror: a device's copy of the page tables of an address space, which the kernel keeps true by telling it of every change.
// Kernel counterpart: struct hmm_mirror, hmm_mirror_register() and hmm_mirror_unregister() in 4.14.
import { KernelBug, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmapAssertWriteLocked, type MmStruct, type MmuNotifier } from "@hetmem/mm";
import { getHmm, type Hmm, putHmm } from "./hmm.ts";

/** Why a mirror is called. There is one reason. @see enum hmm_update_type */
export type HmmUpdateType = "invalidate";

/** What a driver does. @see struct hmm_mirror_ops */
export interface HmmMirrorOps<D = unknown> {
  /**
   * [start, end) is about to change. Takes the driver's lock, drops what the device has of it, waits until the device has
   * let go, and returns: from then on the pages may be anybody's. Takes no mmap lock, and doesn't unregister.
   */
  syncCpuDevicePagetables(
    mirror: HmmMirror<D>,
    update: HmmUpdateType,
    start: VirtAddr,
    end: VirtAddr,
  ): Sleeps<void>;
  /**
   * The address space ends: the device stops to use it, and every access of it fails from now on. The mirror is off the
   * list by now; it may be unregistered here, and must be at some time.
   */
  release?(mirror: HmmMirror<D>): Sleeps<void>;
}

export class HmmMirror<D = unknown> {
  readonly ops: HmmMirrorOps<D>;
  /** The driver's own. */
  readonly data: D;
  /** What it is registered with; undefined when it isn't. */
  life: MmuNotifier<Hmm> | undefined = undefined;

  constructor(ops: HmmMirrorOps<D>, data: D) {
    this.ops = ops;
    this.data = data;
  }
}

/**
 * Lets a mirror hear of every change of an address space, until hmmMirrorUnregister(). The mmap lock is held for writing.
 * Each mirror of one address space has its own, and they share a struct hmm.
 *
 * @throws KernelError ENOMEM
 * @throws KernelBug without the lock, for an address space without users, for a mirror that is registered
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
 * Ends what hmmMirrorRegister() began. When it returns, the mirror isn't called any more, and nobody is in a call of it.
 * The device has stopped and dropped everything before: of changes that begin meanwhile it isn't told. Not with a lock
 * held that its calls take.
 *
 * @throws KernelBug for a mirror that isn't registered
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
