// Registration of notifiers, and the end of the address space. A notifier must not be added during an invalidation
// whose start it has missed: registration takes the mmap lock and every rmap lock under which a mapping can change.
// Kernel counterpart: mmu_notifier_register() and its kin in mm/mmu_notifier.c, mm_take_all_locks() in mm/mmap.c.
import { KernelBug, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { itreeEnd, itreeInvalidate } from "./itree.ts";
import type { NotifiedMachine, NotifiedMm } from "./notified-mm.ts";
import { type MmuNotifierRange, MmuNotifyEvent } from "./range.ts";
import { MmuNotifier, type MmuNotifierOps, NotifierSubscriptions } from "./subscriptions.ts";

/**
 * Registers a notifier, which hears of every change of an address space from now on, until mmuNotifierUnregister().
 *
 * @throws KernelBug if the address space has no users
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

/**
 * Does the same as mmuNotifierRegister(), for a caller that holds the mmap lock for writing.
 *
 * @throws KernelBug without the lock, or if the address space has no users
 * @see __mmu_notifier_register()
 */
function* mmuNotifierRegisterLocked(notifier: MmuNotifier, mm: NotifiedMm): Sleeps<void> {
  yield* installing(mm, (notifiers) => {
    notifier.mm = mm;
    notifier.users = 1;
    notifier.listed = true;
    notifiers.list = [notifier, ...notifiers.list];
  });
}

/**
 * Prepares an address space for interval notifiers. The mmap lock is held for writing.
 *
 * @see __mmu_notifier_register() with a notifier of NULL
 */
export function* installItree(mm: NotifiedMm): Sleeps<void> {
  yield* installing(mm, (notifiers) => {
    notifiers.hasItree = true;
  });
}

/**
 * Unregisters a notifier. Calls its release() unless the end of the address space has. When this returns, no callback
 * of the notifier runs or will run.
 *
 * @see mmu_notifier_unregister()
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
 * Gets the notifier of an address space with the given ops. If there is none, one is made with ops.allocNotifier() and
 * registered. The mmap lock is held for writing. Each call must be paired with an mmuNotifierPut().
 *
 * @throws KernelError whatever ops.allocNotifier() throws
 * @throws KernelBug without the lock, or without ops.allocNotifier()
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

/** Does the same as mmuNotifierGetLocked(), and takes the mmap lock. @see mmu_notifier_get() */
export function* mmuNotifierGet<D>(ops: MmuNotifierOps<D>, mm: NotifiedMm): Sleeps<MmuNotifier<D>> {
  yield* mm.mmapLock.downWrite();
  try {
    return yield* mmuNotifierGetLocked(ops, mm);
  } finally {
    mm.mmapLock.upWrite();
  }
}

/**
 * Drops a reference from mmuNotifierGet(). The last one removes the notifier, and ops.freeNotifier() is called when all
 * callbacks that run now have returned. Atomic; a callback may call this.
 *
 * @throws KernelBug if the notifier has no reference left
 * @see mmu_notifier_put()
 */
export function mmuNotifierPut<D>(notifier: MmuNotifier<D>): void {
  const { mm } = notifier;
  if (mm === undefined || notifier.users === 0) throw new KernelBug("a notifier is put once too often");
  if (--notifier.users > 0) return;
  if (notifier.listed) unlist(notifier as MmuNotifier, mm);
  mm.vm.notifierSrcu.call(() => notifier.ops.freeNotifier?.(notifier));
}

/**
 * Waits until every notifier whose last reference was dropped is freed. A driver calls this before it is unloaded.
 *
 * @see mmu_notifier_synchronize()
 */
export function* mmuNotifierSynchronize(vm: NotifiedMachine): Sleeps<void> {
  yield* vm.notifierSrcu.synchronize();
}

/**
 * Tells all notifiers that the address space ends. Each drops all its mappings, before the pages are freed.
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

/** Invalidates all of the address space for its interval notifiers. @see mn_itree_release() */
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

/** Calls release() of each notifier, and takes all notifiers off the list. @see mn_hlist_release() */
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
  // mmuNotifierUnregister() of another task may still be in release(): wait for its return.
  yield* notifierSrcu.synchronize();
}

function unlist(notifier: MmuNotifier, { notifiers }: NotifiedMm): void {
  notifier.listed = false;
  if (notifiers) notifiers.list = notifiers.list.filter((other) => other !== notifier);
}

/**
 * Changes the notifiers of an address space while every lock is held under which a mapping can change.
 *
 * @throws KernelBug without the mmap lock for writing, or if the address space has no users
 */
function* installing(mm: NotifiedMm, change: (notifiers: NotifierSubscriptions) => void): Sleeps<void> {
  mm.assertWriteLocked("gets a notifier");
  if (mm.users <= 0) throw new KernelBug(`a notifier comes to mm ${mm.id}, which has no users`);
  const locks = yield* mm.takeAllLocks();
  change((mm.notifiers ??= new NotifierSubscriptions()));
  for (const lock of locks) lock.upWrite();
}
