export { type Clock, SimulatedClock } from "./clock.ts";
export { acrossCopies } from "./across-copies.ts";
export { bugOn, type Errno, errnoNumber, KernelBug, KernelError, strerror } from "./error.ts";
export { type FaultAttributes, FaultInjection, FaultPoint } from "./fault.ts";
export { assertInvariants, type Invariant } from "./invariant.ts";
export { createKernel, type Kernel } from "./kernel.ts";
export { Mutex, RwSemaphore } from "./lock.ts";
export { Lockdep, type LockHolder } from "./lockdep.ts";
export { KernelLog, type LogLevel, type LogRecord } from "./log.ts";
export { type MediaPoison } from "./media-poison.ts";
export { nearestName } from "./nearest-name.ts";
export { plainJson, plainText } from "./plain-text.ts";
export { RatelimitedLog } from "./ratelimited-log.ts";
export { onlyVersion } from "./only-version.ts";
export { PercpuRef } from "./percpu-ref.ts";
export { Random } from "./random.ts";
export { type Choice, replayChoice, Scheduler, seededChoice, Task, type TaskState } from "./scheduler.ts";
export { formatBytes, writeSize } from "./size-text.ts";
export { condResched, type Preempt, run, type Sleeps, type Timer } from "./task.ts";
export { type TraceListener, Tracepoint, Tracepoints, type TraceRecord } from "./tracepoint.ts";
export { formatU64, kstrtou64, memparseU64, type ParsedU64 } from "./u64.ts";
export { type Uevent, type UeventAction, type UeventListener, Uevents } from "./uevent.ts";
export {
  alignDown,
  alignUp,
  formatIdList,
  GiB,
  INT_MAX,
  INT_MIN,
  isAligned,
  kstrtobool,
  kstrtoint,
  kstrtouint,
  kstrtoull,
  KiB,
  MAX_NUMNODES,
  memparse,
  MiB,
  type NodeId,
  nodeId,
  type Page,
  PAGE_SHIFT,
  PAGE_SIZE,
  pagesToKiB,
  parseIdList,
  type Pfn,
  pfn,
  pfnToPhys,
  type PhysAddr,
  physAddr,
  physToPfn,
  TiB,
  type VirtAddr,
  virtAddr,
} from "./units.ts";
export { Completion, WaitQueue } from "./wait.ts";
