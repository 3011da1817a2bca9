// Snapshots: the access that the device would have in a range, in the format of the kernel's test driver. No page is
// faulted in, and the device's page table isn't used. A notifier of its own covers just the range, so that changes
// elsewhere cause no retries. Kernel counterparts: dmirror_snapshot() and dmirror_mkentry() in lib/test_hmm.c.
import { HmmPfn, hmmPfnFlags, hmmPfnToMapOrder, hmmPfnToPage, type HmmRange } from "@hetmem/hmm-mirror";
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { isDeviceCoherentPage, isDevicePrivatePage, isDevicePublicPage } from "@hetmem/memremap";
import {
  MmuIntervalNotifier,
  mmuIntervalNotifierInsert,
  mmuIntervalNotifierRemove,
  mmuIntervalSetSeq,
  type MmuNotifierRange,
  mmuNotifierRangeBlockable,
} from "@hetmem/mmu-notifier";
import { DmirrorProt } from "./driver/dmirror-prot.ts";
import { pagesOf, pieces, underSequence } from "./fault.ts";
import type { GpuContext } from "./gpu-context.ts";
import type { Gpu } from "./gpu.ts";

const PMD_ORDER = 9;
const PUD_ORDER = 18;

export function* snapshotRange(context: GpuContext, start: VirtAddr, end: VirtAddr): Sleeps<Uint8Array> {
  const answer = new Uint8Array((end - start) / 4096);
  for (const range of pieces(context, start, end, 0)) {
    const notifier = new MmuIntervalNotifier({ invalidate: noteSequence }, context);
    yield* mmuIntervalNotifierInsert(notifier, context.mm, range.start, range.end - range.start);
    try {
      yield* underSequence(context, { ...range, notifier }, () => {
        const first = (range.start - start) / 4096;
        for (let i = 0; i < pagesOf(range); i++) answer[first + i] = protOf(context, range, i);
      });
    } finally {
      yield* mmuIntervalNotifierRemove(notifier);
    }
  }
  return answer;
}

/** Only advances the sequence: a snapshot has no device entries to remove. @see dmirror_snapshot_invalidate() */
function* noteSequence(
  notifier: MmuIntervalNotifier<GpuContext>,
  range: MmuNotifierRange,
  sequence: number,
): Sleeps<boolean> {
  const { lock } = notifier.data;
  if (mmuNotifierRangeBlockable(range)) yield* lock.lock();
  else if (!lock.tryLock()) return false;
  mmuIntervalSetSeq(notifier, sequence);
  lock.unlock();
  return true;
}

/** @see dmirror_mkentry() */
function protOf({ gpu }: GpuContext, { hmmPfns }: HmmRange, i: number): number {
  const flags = hmmPfnFlags(hmmPfns, i);
  if ((flags & HmmPfn.error) !== 0) return DmirrorProt.error;
  if ((flags & HmmPfn.valid) === 0) return DmirrorProt.none;
  const order = hmmPfnToMapOrder(hmmPfns, i);
  const size = order === PMD_ORDER ? DmirrorProt.pmd : order === PUD_ORDER ? DmirrorProt.pud : 0;
  const access = (flags & HmmPfn.write) !== 0 ? DmirrorProt.write : DmirrorProt.read;
  return placeOf(gpu, hmmPfnToPage(hmmPfns, i)) | access | size;
}

function placeOf({ memory, pagemaps, vm }: Gpu, page: Page): number {
  if (page === vm.zeroPage) return DmirrorProt.zero;
  const own = memory.owns(page);
  if (isDevicePrivatePage(pagemaps, page))
    return own ? DmirrorProt.devPrivateLocal : DmirrorProt.devPrivateRemote;
  if (isDeviceCoherentPage(pagemaps, page) || isDevicePublicPage(pagemaps, page))
    return own ? DmirrorProt.devCoherentLocal : DmirrorProt.devCoherentRemote;
  return DmirrorProt.none;
}
