export { onlinePolicyKit } from "./kit.ts";
