export { reserveListener } from "./commit-reserves.ts";
export { remapPfnRange, vmfInsertMixed, vmfInsertPfn, vmInsertPage } from "./device-mapping.ts";
export { linkVma } from "./link.ts";
export { clearPageMlocked, mlockVmaHuge, mlockVmaPage, munlockVmaPage } from "./mlock-page.ts";
export { vmaPageProt } from "./page-prot.ts";
export { installSpecialMapping, type SpecialMapping } from "./special-mapping.ts";
export { vmaModify } from "./split.ts";
