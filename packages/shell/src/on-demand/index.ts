export { drive } from "./drive.ts";
export { onDemand } from "./on-demand.ts";
