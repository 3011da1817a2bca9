export { BUNDLED_CAPTURES } from "./bundled.ts";
export { liveHost, openTree } from "./open-tree.ts";
export {
  INPUT_BYTES_MAX,
  type OutsideFile,
  readOutsideFile,
  readOutsideText,
  readPipedText,
} from "./outside-file.ts";
