export { placementKit } from "./kit.ts";
export { type PlacementUnderTest } from "./trial.ts";
