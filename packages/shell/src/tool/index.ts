export { formatJson, formatJsonArray, type Json, jsonHex, jsonSize } from "./json.ts";
export {
  errorLine,
  parseSize,
  parseToolOptions,
  ToolAnswer,
  type ToolArguments,
  type ToolOption,
  type ToolUsage,
  ToolUsageProblem,
  USAGE_STATUS,
} from "./options.ts";
