export {
  coverageInvariants,
  coverageOf,
  describeFinding,
  NotifierCoverage,
  watchCoverage,
  type WatchedMachine,
} from "./coverage.ts";
export {
  mmuIntervalCheckRetry,
  mmuIntervalNotifierInsert,
  mmuIntervalNotifierInsertLocked,
  mmuIntervalNotifierRemove,
  mmuIntervalReadBegin,
  mmuIntervalReadRetry,
  mmuIntervalSetSeq,
} from "./interval-notifier.ts";
export {
  hasListeners,
  invalidateRange,
  invalidateRangeEnd,
  invalidateRangeStart,
  invalidateRangeStartNonblock,
  notifyChangePte,
  setUnheard,
} from "./invalidate.ts";
export { type NotifiedMachine, type NotifiedMm } from "./notified-mm.ts";
export { isOwnDoing, type MmuNotifierRange, mmuNotifierRangeBlockable, MmuNotifyEvent } from "./range.ts";
export {
  mmuNotifierGet,
  mmuNotifierGetLocked,
  mmuNotifierPut,
  mmuNotifierRegister,
  mmuNotifierRelease,
  mmuNotifierSynchronize,
  mmuNotifierUnregister,
} from "./register.ts";
export { Srcu } from "./srcu.ts";
export {
  MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  MmuNotifier,
  type MmuNotifierOps,
  NotifierSubscriptions,
} from "./subscriptions.ts";
export { mmuNotifierClearFlushYoung, mmuNotifierTestYoung } from "./young.ts";
