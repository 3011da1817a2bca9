export { interact, type InteractiveStreams } from "./interactive.ts";
export { runScript } from "./run-script.ts";
