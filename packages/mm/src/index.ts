export { type CgroupCounts, type PageCharging, uncharged } from "./ports/charging.ts";
export { type DevicePages, noDevicePages } from "./ports/device-pages.ts";
export { allocMm, emptyMm, MmStruct, Rss } from "./mm-struct.ts";
export { type Tunables } from "./tunables.ts";
export { Vm, type VmOptions } from "./vm.ts";
export { vmInvariants } from "./invariants.ts";

export { faultFast } from "./fault/fault-fast.ts";
export { ensureEntry, handleMmFault } from "./fault/handle-mm-fault.ts";
export { migrationEntryWait } from "./fault/non-present.ts";
export { userFault } from "./fault/user-fault.ts";
export { FaultFlag, VM_FAULT_ERROR, VmFault } from "./fault/vm-fault.ts";

export { vmfInsertPfnPmd } from "./huge/insert-pfn-pmd.ts";

export { type FollOptions } from "./faultin/foll.ts";
export {
  getUserPagesFast,
  getUserPagesFastOnly,
  pinUserPagesFast,
  pinUserPagesFastOnly,
} from "./gup/fast.ts";
export { getUserPages, getUserPagesRemote, pinUserPages, pinUserPagesRemote } from "./gup/gup.ts";
export { type GupTestPolicy, gupBenchmark, gupTest, gupTestTable } from "./gup/gup-test.ts";
export { pageMaybeDmaPinned } from "./faultin/pin-count.ts";
export { putUserPages, unpinUserPages, unpinUserPagesDirty } from "./gup/unpin.ts";

export { collapseHugePage } from "./khugepaged/collapse.ts";
export { HPAGE_PMD_NR } from "./huge/huge-counts.ts";
export { khugepaged, Khugepaged, khugepagedOf, khugepagedParts } from "./khugepaged/khugepaged.ts";
export { type CollapseAsker, type ScanResult } from "./khugepaged/pmd-scan.ts";
export { splitHugePage } from "./huge/split-page.ts";
export { splitHugePmd } from "./huge/split-pmd.ts";

export { poisonDevicePage } from "./memory-failure/device-page.ts";
export { ProcessPoisonedPages } from "./memory-failure/poisoned-pages.ts";
export { unpoisonMemory } from "./memory-failure/unpoison.ts";

export { ProcessPageMigration } from "./migrate/hotplug-migration.ts";
export { mbind } from "./migrate/mbind.ts";
export { MpolFlag, type MempolicyRequest, type MpolMode, mpolToString } from "./policy/mempolicy.ts";
export { MemoryTiers } from "./policy/memory-tiers.ts";
export { NOT_AT_ONCE } from "./migrate/migrate-at-once.ts";
export {
  cacheReferences,
  COPIED,
  migrateAnonymousNoCopy,
  migratePageNoCopy,
} from "./migrate/migrate-page.ts";
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
  invalidateRange,
  invalidateRangeEnd,
  hasListeners,
  invalidateRangeStart,
  setUnheard,
  invalidateRangeStartNonblock,
  notifyChangePte,
} from "./notifier/invalidate.ts";
export {
  isOwnDoing,
  type MmuNotifierRange,
  mmuNotifierRangeBlockable,
  MmuNotifyEvent,
} from "./notifier/range.ts";
export {
  mmuNotifierGet,
  mmuNotifierGetLocked,
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

export { type AddressSpace } from "./file/address-space.ts";
export { createDiskFile } from "./page-cache/disk-file.ts";
export { fileRead, fileWrite } from "./page-cache/file-io.ts";
export { fileVmOps } from "./page-cache/file-mmap.ts";
export { type FileObject } from "./file/file-object.ts";
export { Inode } from "./page-cache/inode.ts";
export { dropPagecache } from "./page-cache/invalidate.ts";
export { memfdAddSeals, memfdCreate, MemfdFlag } from "./page-cache/memfd.ts";
export { setPageDirty } from "./file/dirty.ts";
export { msync, MsyncFlag } from "./page-cache/msync.ts";
export { OpenFile, unlinkInode } from "./page-cache/open-file.ts";
export { Cap, Credentials, ROOT } from "./process/credentials.ts";
export {
  HONOURED_RLIMITS,
  type Rlimit,
  type RlimitName,
  rlimitNames,
  Rlimits,
  RLIMITS,
} from "./process/rlimits.ts";
export { reserveListener } from "./vma/commit-reserves.ts";
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
} from "./pagewalk.ts";
export { NO_ENTRY, PageTable } from "./page-table/page-table.ts";
export { mmapAssertLocked, mmapAssertWriteLocked } from "./mmap-lock.ts";
export { lockPage, trylockPage, unlockPage } from "./page-lock.ts";
export {
  CARRIED_BITS,
  EntryKind,
  entryKind,
  entryPage,
  holdsPage,
  isDeviceExclusive,
  isDevicePrivate,
  isMigration,
  KIND_MASK,
  Pte,
  specialFlags,
  specialPfn,
  specialValue,
  swapDevice,
} from "./page-table/pte.ts";

export { ClearRefs, clearRefs } from "./proc/clear-refs.ts";
export { mappingName } from "./proc/maps.ts";
export { pageMapcount } from "./rmap/page-mapcount.ts";
export { pagemap, PageMapBit, type PagemapOptions } from "./proc/pagemap.ts";
export { type ProcPidOptions, procPidTable } from "./proc/proc-pid.ts";
export { hugetlbTables } from "./hugetlb/hugetlb-sysfs.ts";
export { hugetlbInvariants } from "./hugetlb/invariants.ts";
export { hugetlbParts } from "./hugetlb/hugetlb-memory.ts";
export { hugetlbPool } from "./hugetlb/hugetlb-pool.ts";
export { migrateParts } from "./migrate/migrate-parts.ts";
export { migrateTables } from "./migrate/procfs.ts";
export { vmTables } from "./procfs.ts";
export { type LoggedTask, pageCacheTables } from "./page-cache/procfs.ts";
export { pageCacheParts, shmem } from "./page-cache/shmem.ts";
export { reclaimTables } from "./reclaim/procfs.ts";
export { reclaimOf, reclaimParts } from "./reclaim/reclaim.ts";
export { swapSpace } from "./swap/swap-space.ts";

export { exitToUserMode, readUser, touchUser, writebackUser, writeUser } from "./process/access.ts";
export { execProgram, execve, type ProgramImage, type ProgramSegment } from "./process/exec.ts";
export { exitProcess, mmgetNotZero, mmput } from "./process/exit.ts";
export { forkProcess } from "./process/fork.ts";
export { Process, type ProcessRights } from "./process/process.ts";
export { type ProcessListener } from "./process/processes.ts";
export { hearsEarly, killProcs, type ToKill } from "./memory-failure/collect-procs.ts";
export { type Signal, type SignalCode } from "./process/signal.ts";

export { tryToFreeMemCgroupPages } from "./reclaim/direct-reclaim.ts";
export { Lru } from "./lru/lru.ts";
export { LruList, Lruvec } from "./lru/lruvec.ts";
export { MAX_RECLAIM_RETRIES } from "./reclaim/node-reclaim.ts";
export { outOfMemory } from "./reclaim/oom.ts";
export { oomBadness } from "./reclaim/oom-badness.ts";
export {
  type MemoryRequest,
  type OomControl,
  type OomGroup,
  type ReclaimGroup,
  type ReclaimGroups,
} from "./ports/reclaim-groups.ts";
export { reclaimPages } from "./reclaim/reclaim-pages.ts";
export { SWAP_CLUSTER_MAX } from "./reclaim/scan-control.ts";

export { makeDeviceExclusiveRange } from "./rmap/device-exclusive.ts";
export { IntervalTree } from "./rmap/interval-tree.ts";
export { pageTryShareAnonRmap } from "./rmap/anon-exclusive.ts";
export { type AnonVma, MAPPING_ANON } from "./rmap/anon-vma.ts";
export { addNodeStats, pageAddNewAnonRmap, pageRemoveRmap } from "./rmap/map-counts.ts";
export { pageMapped } from "./rmap/mapped-entry.ts";
export {
  presentAfterMigration,
  removeMigrationPte,
  removeMigrationPtes,
} from "./rmap/remove-migration-ptes.ts";
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
export { clearPageMlocked, mlockVmaPage, munlockVmaPage } from "./vma/mlock-page.ts";
export { mlock, mlockall, munlock, munlockall } from "./vma/mlock.ts";
export { mmap, type MmapRequest } from "./vma/mmap.ts";
export { mprotect } from "./vma/mprotect.ts";
export { mremap, type MremapRequest } from "./vma/mremap.ts";
export { munmap } from "./vma/munmap.ts";
export { installSpecialMapping, type SpecialMapping } from "./vma/special-mapping.ts";
export { vmaPageProt } from "./vma/page-prot.ts";
export { Prot, VM_SPECIAL, VmFlag } from "./vma/vm-flags.ts";
export { type FaultContext, Vma, type VmOperations } from "./vma/vma.ts";
export { khugepagedTables } from "./khugepaged/sysfs.ts";
