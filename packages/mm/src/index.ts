export { type PageCharging, uncharged } from "./charging.ts";
export { type DevicePages, noDevicePages } from "./device-pages.ts";
export { allocMm, MmStruct, Rss } from "./mm-struct.ts";
export { type Tunables } from "./tunables.ts";
export { Vm, type VmOptions } from "./vm.ts";
export { vmInvariants } from "./invariants.ts";

export { faultFast } from "./fault/fault-fast.ts";
export { handleMmFault } from "./fault/handle-mm-fault.ts";
export { userFault } from "./fault/user-fault.ts";
export { FaultFlag, VM_FAULT_ERROR, VmFault } from "./fault/vm-fault.ts";

export { vmfInsertPfnPmd } from "./huge/insert-pfn-pmd.ts";

export { type FollOptions } from "./gup/foll.ts";
export {
  getUserPagesFast,
  getUserPagesFastOnly,
  pinUserPagesFast,
  pinUserPagesFastOnly,
} from "./gup/fast.ts";
export { getUserPages, getUserPagesRemote, pinUserPages, pinUserPagesRemote } from "./gup/gup.ts";
export { type GupTestPolicy, gupBenchmark, gupTest, gupTestTable } from "./gup/gup-test.ts";
export { pageMaybeDmaPinned } from "./gup/pin-count.ts";
export { putUserPages, unpinUserPages, unpinUserPagesDirty } from "./gup/unpin.ts";

export { collapseHugePage } from "./huge/collapse.ts";
export { HPAGE_PMD_NR } from "./huge/huge-counts.ts";
export { khugepaged } from "./huge/khugepaged.ts";
export { type CollapseAsker, type ScanResult } from "./huge/pmd-scan.ts";
export { splitHugePage } from "./huge/split-page.ts";

export { ProcessPoisonedPages } from "./memory-failure/poisoned-pages.ts";
export { unpoisonMemory } from "./memory-failure/unpoison.ts";

export { ProcessPageMigration } from "./migrate/hotplug-migration.ts";
export { mbind } from "./migrate/mbind.ts";
export { MpolFlag, type MempolicyRequest, type MpolMode, mpolToString } from "./migrate/mempolicy.ts";
export { MemoryTiers } from "./migrate/memory-tiers.ts";
export { MigrateMode, MigrateReason, type MigrateResult } from "./migrate/migrate-mode.ts";
export { migratePages, putbackMovablePages } from "./migrate/migrate-pages.ts";
export { type MigrationTarget, migrationTarget } from "./migrate/migration-target.ts";
export { migrateProcessPages, movePages, queryPages } from "./migrate/move-pages.ts";
export { scanForHints } from "./migrate/numa-balancing.ts";
export { MbindFlag } from "./migrate/queue-pages.ts";
export { getMempolicy, setMempolicy } from "./migrate/set-mempolicy.ts";

export {
  coverageInvariants,
  coverageOf,
  describeFinding,
  NotifierCoverage,
  watchCoverage,
} from "./notifier/coverage.ts";
export {
  mmuIntervalCheckRetry,
  mmuIntervalNotifierInsert,
  mmuIntervalNotifierInsertLocked,
  mmuIntervalNotifierRemove,
  mmuIntervalReadBegin,
  mmuIntervalReadRetry,
  mmuIntervalSetSeq,
} from "./notifier/interval-notifier.ts";
export {
  invalidateRangeEnd,
  invalidateRangeStart,
  invalidateRangeStartNonblock,
} from "./notifier/invalidate.ts";
export {
  isOwnDoing,
  type MmuNotifierRange,
  mmuNotifierRangeBlockable,
  MmuNotifyEvent,
} from "./notifier/range.ts";
export {
  mmuNotifierGet,
  mmuNotifierPut,
  mmuNotifierRegister,
  mmuNotifierSynchronize,
  mmuNotifierUnregister,
} from "./notifier/register.ts";
export {
  MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  MmuNotifier,
  type MmuNotifierOps,
} from "./notifier/subscriptions.ts";

export { type AddressSpace } from "./page-cache/address-space.ts";
export { createDiskFile } from "./page-cache/disk-file.ts";
export { fileRead, fileWrite } from "./page-cache/file-io.ts";
export { fileVmOps } from "./page-cache/file-mmap.ts";
export { type FileObject } from "./page-cache/file-object.ts";
export { Inode } from "./page-cache/inode.ts";
export { dropPagecache } from "./page-cache/invalidate.ts";
export { memfdAddSeals, memfdCreate, MemfdFlag } from "./page-cache/memfd.ts";
export { msync, MsyncFlag } from "./page-cache/msync.ts";
export { OpenFile, unlinkInode } from "./page-cache/open-file.ts";
export { createShmemInode, shmemFallocate, shmemVmOps } from "./page-cache/shmem.ts";
export { Seal, ShmemInode, ShmemMount } from "./page-cache/shmem-inode.ts";
export { TmpfsPages } from "./page-cache/tmpfs-pages.ts";
export { punchHole, truncate } from "./page-cache/truncate.ts";
export { unmapMappingRange } from "./page-cache/unmap-mapping.ts";
export { fsyncRange, syncAll } from "./page-cache/writeback.ts";

export {
  type MmWalk,
  type MmWalkOps,
  type SleepingWalkOps,
  WalkAction,
  walkPageRange,
  walkPageRangeSleeping,
  walkPageVma,
} from "./page-table/pagewalk.ts";
export { PageTable } from "./page-table/page-table.ts";
export { EntryKind, entryKind, isDevicePrivate, Pte } from "./page-table/pte.ts";

export { ClearRefs, clearRefs } from "./proc/clear-refs.ts";
export { pagemap, PageMapBit, type PagemapOptions } from "./proc/pagemap.ts";
export { type ProcPidOptions, procPidTable } from "./proc/proc-pid.ts";
export { sysctlTables } from "./proc/sysctl.ts";

export { readUser, touchUser, writeUser } from "./process/access.ts";
export { execProgram, execve, type ProgramImage, type ProgramSegment } from "./process/exec.ts";
export { exitProcess } from "./process/exit.ts";
export { forkProcess } from "./process/fork.ts";
export { Process } from "./process/process.ts";
export { type Signal, type SignalCode } from "./process/signal.ts";

export { LruList, Lruvec } from "./reclaim/lruvec.ts";
export { outOfMemory } from "./reclaim/oom.ts";
export { oomBadness } from "./reclaim/oom-badness.ts";
export { reclaimPages } from "./reclaim/reclaim-pages.ts";

export { makeDeviceExclusiveRange } from "./rmap/device-exclusive.ts";
export { IntervalTree } from "./rmap/interval-tree.ts";
export { removeMigrationPtes } from "./rmap/remove-migration-ptes.ts";
export { tryToMigrate } from "./rmap/try-to-migrate.ts";

export { swapInvariants } from "./swap/invariants.ts";
export { type SwaponRequest, SwapSpace } from "./swap/swap-space.ts";
export { swapoff } from "./swap/swapoff.ts";

export { brk } from "./vma/brk.ts";
export { remapPfnRange, vmfInsertMixed, vmfInsertPfn, vmInsertPage } from "./vma/device-mapping.ts";
export { madvise } from "./vma/madvise.ts";
export { type MemoryErrors } from "./vma/madvise-inject.ts";
export { Madv, MapFlag, Mcl, MLOCK_ONFAULT, MremapFlag } from "./vma/map-flags.ts";
export { mincore } from "./vma/mincore.ts";
export { mlock, mlockall, munlock, munlockall } from "./vma/mlock.ts";
export { mmap, type MmapRequest } from "./vma/mmap.ts";
export { mprotect } from "./vma/mprotect.ts";
export { mremap, type MremapRequest } from "./vma/mremap.ts";
export { munmap } from "./vma/munmap.ts";
export { installSpecialMapping, type SpecialMapping } from "./vma/special-mapping.ts";
export { Prot, VmFlag } from "./vma/vm-flags.ts";
export { type FaultContext, Vma, type VmOperations } from "./vma/vma.ts";
