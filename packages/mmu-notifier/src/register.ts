// Coming and going of notifiers, and the end of the address space that they listen to. Nobody may come while a range
// changes whose start he would have missed: who registers holds every lock under which a mapping can change. Kernel
// counterpart: mmu_notifier_register() and its kin in mm/mmu_notifier.c, mm_take_all_locks() in mm/mmap.c.
import { KernelBug, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { itreeEnd, itreeInvalidate } from "./itree.ts";
import type { NotifiedMachine, NotifiedMm } from "./notified-mm.ts";
import { type MmuNotifierRange, MmuNotifyEvent } from "./range.ts";
import { MmuNotifier, type MmuNotifierOps, NotifierSubscriptions } from "./subscriptions.ts";

/**
 * Lets a notifier hear of every change of an address space from now on, until mmuNotifierUnregister().
 *
 * @throws KernelBug for an address space without users
 * @see mmu_notifier_register()
 */
export function* mmuNotifierRegister(notifier: MmuNotifier, mm: NotifiedMm): Sleeps<void> {
  yield* mm.mmapLock.downWrite();
  try {
    yield* mmuNotifierRegisterLocked(notifier, mm);
  } finally {
    mm.mmapLock.upWrite();
  }
}

/** The same, with the mmap lock held for writing. @see __mmu_notifier_register() */
export function* mmuNotifierRegisterLocked(notifier: MmuNotifier, mm: NotifiedMm): Sleeps<void> {
  yield* installing(mm, (notifiers) => {
    notifier.mm = mm;
    notifier.users = 1;
    notifier.listed = true;
    notifiers.list = [notifier, ...notifiers.list];
  });
}

/** Makes an address space ready for intervals; the mmap lock is held for writing. @see __mmu_notifier_register() with a notifier of NULL */
export function* installItree(mm: NotifiedMm): Sleeps<void> {
  yield* installing(mm, (notifiers) => {
    notifiers.hasItree = true;
  });
}

/**
 * Ends what mmuNotifierRegister() began. Its release is called unless the address space's end has done that; when this
 * returns, no callback of it runs or will run.
 */
export function* mmuNotifierUnregister(notifier: MmuNotifier, mm: NotifiedMm): Sleeps<void> {
  const { notifierSrcu } = mm.vm;
  if (notifier.listed) {
    const reader = notifierSrcu.readLock();
    try {
      if (notifier.ops.release) yield* notifier.ops.release(notifier, mm);
    } finally {
      notifierSrcu.readUnlock(reader);
    }
    unlist(notifier, mm);
  }
  yield* notifierSrcu.synchronize();
}

/**
 * The one notifier of an address space with these ops: made by ops.allocNotifier() where there is none yet. The mmap lock
 * is held for writing. Each call is paired with an mmuNotifierPut().
 *
 * @throws KernelError what allocNotifier() throws
 * @throws KernelBug without the lock
 * @see mmu_notifier_get_locked()
 */
export function* mmuNotifierGetLocked<D>(ops: MmuNotifierOps<D>, mm: NotifiedMm): Sleeps<MmuNotifier<D>> {
  mm.assertWriteLocked("is asked for a notifier");
  const there = mm.notifiers?.list.find((notifier) => notifier.ops === ops);
  if (there !== undefined) {
    there.users++;
    return there as MmuNotifier<D>;
  }
  if (!ops.allocNotifier)
    throw new KernelBug("ops without allocNotifier() can't be had with mmuNotifierGet()");
  const notifier = new MmuNotifier(ops, ops.allocNotifier(mm));
  yield* mmuNotifierRegisterLocked(notifier as MmuNotifier, mm);
  return notifier;
}

/** The same for who holds no lock. @see mmu_notifier_get() */
export function* mmuNotifierGet<D>(ops: MmuNotifierOps<D>, mm: NotifiedMm): Sleeps<MmuNotifier<D>> {
  yield* mm.mmapLock.downWrite();
  try {
    return yield* mmuNotifierGetLocked(ops, mm);
  } finally {
    mm.mmapLock.upWrite();
  }
}

/** Atomic, and allowed in a callback: ops.freeNotifier() comes when all callbacks that run now are over. @see mmu_notifier_put() */
export function mmuNotifierPut<D>(notifier: MmuNotifier<D>): void {
  const { mm } = notifier;
  if (mm === undefined || notifier.users === 0) throw new KernelBug("a notifier is put once too often");
  if (--notifier.users > 0) return;
  if (notifier.listed) unlist(notifier as MmuNotifier, mm);
  mm.vm.notifierSrcu.call(() => notifier.ops.freeNotifier?.(notifier));
}

/** Until every notifier that was put is freed: what a driver waits for before it goes. @see mmu_notifier_synchronize() */
export function* mmuNotifierSynchronize(vm: NotifiedMachine): Sleeps<void> {
  yield* vm.notifierSrcu.synchronize();
}

/**
 * The address space is going: everybody drops his mappings of it before its pages are freed.
 *
 * @see mmu_notifier_release()
 */
export function* mmuNotifierRelease(mm: NotifiedMm): Sleeps<void> {
  const { notifiers } = mm;
  if (notifiers === undefined) return;
  if (notifiers.hasItree) yield* releaseItree(notifiers, mm);
  if (notifiers.list.length > 0) yield* releaseList(notifiers, mm);
  notifiers.released = true;
}

/** @see mn_itree_release() */
function* releaseItree(notifiers: NotifierSubscriptions, mm: NotifiedMm): Sleeps<void> {
  const everything: MmuNotifierRange = {
    mm,
    start: 0 as VirtAddr,
    end: Number.MAX_SAFE_INTEGER as VirtAddr,
    event: MmuNotifyEvent.Release,
  };
  yield* itreeInvalidate(notifiers, everything);
  itreeEnd(notifiers);
}

/** @see mn_hlist_release() */
function* releaseList(notifiers: NotifierSubscriptions, mm: NotifiedMm): Sleeps<void> {
  const { notifierSrcu } = mm.vm;
  const reader = notifierSrcu.readLock();
  try {
    for (const notifier of notifiers.list)
      if (notifier.listed && notifier.ops.release) yield* notifier.ops.release(notifier, mm);
    for (const notifier of notifiers.list) notifier.listed = false;
    notifiers.list = [];
  } finally {
    notifierSrcu.readUnlock(reader);
  }
  // One who unregisters at the same time may be in its release still.
  yield* notifierSrcu.synchronize();
}

function unlist(notifier: MmuNotifier, { notifiers }: NotifiedMm): void {
  notifier.listed = false;
  if (notifiers) notifiers.list = notifiers.list.filter((other) => other !== notifier);
}

/** Changes who listens, while nothing can be changing that is listened to. */
function* installing(mm: NotifiedMm, change: (notifiers: NotifierSubscriptions) => void): Sleeps<void> {
  mm.assertWriteLocked("gets a notifier");
  if (mm.users <= 0) throw new KernelBug(`a notifier comes to mm ${mm.id}, which has no users`);
  const locks = yield* mm.takeAllLocks();
  change((mm.notifiers ??= new NotifierSubscriptions()));
  for (const lock of locks) lock.upWrite();
}
