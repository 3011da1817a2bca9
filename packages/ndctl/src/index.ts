export { daxctl } from "./daxctl/daxctl.ts";
export { type DaxDevice, daxDevices, type DaxRegionPath } from "./libdaxctl/library.ts";
export { clearErrors } from "./libndctl/clear-errors.ts";
export type { NdctlContext } from "./libndctl/context.ts";
export { createInRegion, createNamespace, reconfigureNamespace } from "./libndctl/create-namespace.ts";
export { destroyNamespace, type ReconfigOptions } from "./libndctl/destroy-namespace.ts";
export {
  type AddressRange,
  type BlockDevice,
  type DeviceNodes,
  NO_DEVICE_NODES,
} from "./libndctl/device-nodes.ts";
export {
  busesIn,
  type ClaimKind,
  dimmsIn,
  isActive,
  isEnabled,
  type NdBus,
  type NdClaim,
  type NdDimm,
  namespacesIn,
  type NdNamespace,
  type NdRegion,
  regionsIn,
} from "./libndctl/devices.ts";
export {
  disableDimm,
  disableNamespace,
  disableRegion,
  enableDimm,
  enableNamespace,
  enableRegion,
} from "./libndctl/enable.ts";
export {
  type ClaimFacts,
  type NamespaceFacts,
  namespaceFacts,
  type RegionFacts,
  regionFacts,
} from "./libndctl/facts.ts";
export {
  hasErrorInjection,
  injectedErrors,
  injectError,
  type InjectErrorOptions,
  uninjectError,
} from "./libndctl/inject-error.ts";
export {
  hasLabelIndex,
  initLabels,
  type LabelListing,
  type LabelSpan,
  listLabels,
  readLabels,
  writeLabels,
  zeroLabels,
} from "./libndctl/labels.ts";
export {
  listBus,
  listDimm,
  listedNamespaces,
  type Listing,
  listNamespace,
  type ListOptions,
  listRegion,
} from "./libndctl/listing.ts";
export type { CreateNamespaceOptions, MapLocation, NamespaceMode } from "./libndctl/namespace-options.ts";
export { type NdctlReport, SILENT } from "./libndctl/report.ts";
export { startScrub, waitScrub } from "./libndctl/scrub.ts";
export type { NdctlMachine, NdctlProgram } from "./ndctl/machine.ts";
export { ndctl } from "./ndctl/ndctl.ts";
