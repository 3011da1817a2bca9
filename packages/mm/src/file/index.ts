export {
  AddressSpace,
  type AddressSpaceOperations,
  type DeviceId,
  type MappedFile,
} from "./address-space.ts";
export {
  cancelDirty,
  clearPageDirtyForIo,
  endWriteback,
  setPageDirty,
  startWriteback,
  waitOnWriteback,
} from "./dirty.ts";
export { type FileObject } from "./file-object.ts";
