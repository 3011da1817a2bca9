export { madvise } from "./madvise.ts";
export { mincore } from "./mincore.ts";
