export { drive, onDemand } from "@hetmem/shell/on-demand";
export { PROGRAMS_ON_DEMAND } from "./programs.ts";
