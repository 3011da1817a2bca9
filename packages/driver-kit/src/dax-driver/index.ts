export { type DaxDriverHost, type DaxDriverUnderTest } from "./driver.ts";
export { daxDriverKit } from "./kit.ts";
