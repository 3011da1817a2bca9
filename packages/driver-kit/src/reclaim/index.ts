export { reclaimKit } from "./kit.ts";
export { type ReclaimUnderTest } from "./trial.ts";
