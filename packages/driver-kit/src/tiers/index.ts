export { tiersKit } from "./kit.ts";
export { type TiersUnderTest } from "./trial.ts";
