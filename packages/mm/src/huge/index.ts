export { shrinkDeferredSplits } from "./deferred-split-scan.ts";
export { type HugeAsker, hugepageVmaCheck, transhugeVmaSuitable } from "./eligibility.ts";
export { mapNewHuge } from "./huge-anon.ts";
export {
  compoundMapcount,
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  prepTranshugePage,
  setCompoundMapcount,
  totalMapcount,
} from "./huge-counts.ts";
export { vmfInsertPfnPmd } from "./insert-pfn-pmd.ts";
export { splitHugePage } from "./split-page.ts";
export { hugeAddress, hugePmd, splitHugePmd } from "./split-pmd.ts";
