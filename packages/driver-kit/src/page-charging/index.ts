export { type ChargingOfTrial, type ChargingUnderTest } from "./charging.ts";
export { pageChargingKit } from "./kit.ts";
