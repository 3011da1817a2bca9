export { pagemapOpsKit } from "./kit.ts";
export { type PagemapHost, type PagemapOfTrial, type PagemapUnderTest } from "./pagemap.ts";
