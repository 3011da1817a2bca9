export { oomChoiceKit } from "./kit.ts";
export { type OomChoiceUnderTest } from "./trial.ts";
