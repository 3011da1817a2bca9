export { fillAnonymous, GFP_USER_PAGE } from "./anon.ts";
export { faultAt } from "./fault-context.ts";
export { setFilePte } from "./file.ts";
export { handleNonPresent, migrationEntryWait } from "./non-present.ts";
export { mapFromSwap } from "./swap-in.ts";
