export {
  allocHmmPfns,
  answerHmmPfn,
  HmmPfn,
  hmmPfnFlags,
  hmmPfnToMapOrder,
  hmmPfnToPage,
  requestHmmPfn,
} from "./hmm-pfn.ts";
export { type HmmRange, type HmmRangeFault, hmmRangeFault, type HmmRangeResult } from "./hmm-range-fault.ts";

export { type Hmm, HMM_FAULT_POINT, hmmOf } from "./v4.14/hmm.ts";
export {
  HmmMirror,
  type HmmMirrorOps,
  hmmMirrorRegister,
  hmmMirrorUnregister,
  type HmmUpdateType,
} from "./v4.14/hmm-mirror.ts";
export { HmmVmaPfn } from "./v4.14/hmm-vma-pfn.ts";
export { hmmVmaFault, hmmVmaGetPfns, HmmVmaRange, hmmVmaRangeDone } from "./v4.14/hmm-vma-range.ts";
export { makeDeviceExclusiveRange } from "./make-device-exclusive.ts";
