export { liveHost, openTree } from "@hetmem/host-capture/node";
export { interact, type InteractiveStreams, runScript } from "@hetmem/shell/node";
