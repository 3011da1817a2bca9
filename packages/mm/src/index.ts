export { takeCensus } from "./census.ts";
export { faultFast } from "./fault/fault-fast.ts";
export { ensureEntry, handleMmFault } from "./fault/handle-mm-fault.ts";
export { userFault } from "./fault/user-fault.ts";
export { FaultFlag, VM_FAULT_ERROR, VmFault } from "./fault/vm-fault.ts";
export { vmInvariants } from "./invariants.ts";
export { allocMm, emptyMm, mmStruct, MmStruct, Rss } from "./mm-struct.ts";
export { mmapAssertLocked, mmapAssertWriteLocked } from "./mmap-lock.ts";
export { addNodeOnlyStat, addNodeStat, addNodeStats, moveNodeStat } from "./node-stat.ts";
export { lockPage, trylockPage, unlockPage } from "./page-lock.ts";
export {
  type MmWalk,
  type MmWalkOps,
  type SleepingWalkOps,
  snapshotRange,
  WalkAction,
  walkPageRange,
  walkPageRangeSleeping,
  walkPageVma,
  walkPageVmaSleeping,
} from "./pagewalk.ts";
export { chargeByPayer, type PayerAccounts } from "./ports/charge-by-payer.ts";
export { type CgroupCounts, type PageCharging, uncharged } from "./ports/charging.ts";
export { type DevicePages, noDevicePages } from "./ports/device-pages.ts";
export { exitToUserMode, readUser, touchUser, writebackUser, writeUser } from "./process/access.ts";
export { Cap, Credentials, ROOT } from "./process/credentials.ts";
export { execProgram, execve, type ProgramImage, type ProgramSegment } from "./process/exec.ts";
export { exitProcess, mmgetNotZero, mmput } from "./process/exit.ts";
export { forkProcess } from "./process/fork.ts";
export { Process, type ProcessRights } from "./process/process.ts";
export { type ProcessListener } from "./process/processes.ts";
export {
  HONOURED_RLIMITS,
  type Rlimit,
  type RlimitName,
  rlimitNames,
  Rlimits,
  RLIMITS,
} from "./process/rlimits.ts";
export { type Signal, type SignalCode } from "./process/signal.ts";
export { vmTables } from "./procfs.ts";
export { type Tunables } from "./tunables.ts";
export { zapPageRange } from "./unmap/zap.ts";
export { countLruvecEvent, countMmEvent, countPageEvent } from "./vm-events.ts";
export { Vm, type VmOptions, type VmParts } from "./vm.ts";
export { brk } from "./vma/brk.ts";
export {
  Madv,
  MAP_HUGE_MASK,
  MAP_HUGE_SHIFT,
  MapFlag,
  Mcl,
  MLOCK_ONFAULT,
  MremapFlag,
} from "./vma/map-flags.ts";
export { mlock, mlockall, munlock, munlockall } from "./vma/mlock.ts";
export { mmap, type MmapRequest } from "./vma/mmap.ts";
export { mprotect } from "./vma/mprotect.ts";
export { mremap, type MremapRequest } from "./vma/mremap.ts";
export { munmap } from "./vma/munmap.ts";
export { isAccessible, isCowMapping, Prot, VM_SPECIAL, VmFlag } from "./vma/vm-flags.ts";
export { describeVma, type FaultContext, isVmHugetlbPage, Vma, type VmOperations } from "./vma/vma.ts";
