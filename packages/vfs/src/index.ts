export {
  type Attribute,
  attributeMode,
  type AttributeTable,
  type DeviceNumber,
  type Params,
} from "./attribute.ts";
export { bytesOf, textOf } from "./bytes.ts";
export { fieldsOf } from "./fields.ts";
export { compareNames, type FileSystem, fileSystemOf } from "./file-system.ts";
export { GlobPattern, hasGlob, unescapeGlob } from "./glob.ts";
export { vfsInvariants } from "./invariants.ts";
export { type FilePages, type MemoryDirectory, type MemoryFile, MemoryFiles } from "./memory-files.ts";
export { KeptBytes } from "./kept-bytes.ts";
export {
  intSysctl,
  parseSysctl,
  parseUnsignedSysctl,
  switchSysctl,
  sysctlBetween,
  ulongSysctl,
} from "./sysctl.ts";
export { type TreeDirectory } from "./tree-directory.ts";
export {
  type DirectoryEntry,
  type FileKind,
  type OpenFile,
  type OpenMode,
  type Stat,
  TEXT_MAX,
  Vfs,
  type WalkEntry,
} from "./vfs.ts";
