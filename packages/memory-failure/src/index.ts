export { hearsEarly, killProcs, type ToKill } from "./collect-procs.ts";
export { poisonDevicePage } from "./device-page.ts";
export { ProcessPoisonedPages } from "./poisoned-pages.ts";
export { unpoisonMemory } from "./unpoison.ts";
