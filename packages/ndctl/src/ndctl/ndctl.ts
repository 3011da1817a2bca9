// ndctl: persistent memory, its namespaces, labels and errors, through files of /sys and nodes of /dev. User space counterpart:
// ndctl(1) 76.
import { helpOf, notModelled, tool, version } from "../tool.ts";
import { createNamespace } from "./create.ts";
import {
  destroyNamespaces,
  disableDimms,
  disableNamespaces,
  disableRegions,
  enableDimms,
  enableNamespaces,
  enableRegions,
} from "./devices.ts";
import { clearErrors, injectErrors, startScrub, waitScrub } from "./errors.ts";
import { checkLabelAreas, initLabelAreas, readLabelAreas, zeroLabelAreas } from "./labels.ts";
import { list } from "./list.ts";
import type { NdctlProgram } from "./machine.ts";

const FIRMWARE = "modules have no firmware that could be changed";
const KEYS = "security is set through /sys/bus/nd/devices/nmem0/security";

export const ndctl: NdctlProgram = tool("ndctl", {
  version,
  "enable-namespace": enableNamespaces,
  "disable-namespace": disableNamespaces,
  "create-namespace": createNamespace,
  "destroy-namespace": destroyNamespaces,
  "read-infoblock": notModelled("read-infoblock"),
  "write-infoblock": notModelled("write-infoblock"),
  "check-namespace": notModelled("check-namespace: the sectors of a btt aren't translated"),
  "clear-errors": clearErrors,
  "enable-region": enableRegions,
  "disable-region": disableRegions,
  "enable-dimm": enableDimms,
  "disable-dimm": disableDimms,
  "zero-labels": zeroLabelAreas,
  "read-labels": readLabelAreas,
  "write-labels": notModelled("write-labels"),
  "init-labels": initLabelAreas,
  "check-labels": checkLabelAreas,
  "inject-error": injectErrors,
  "update-firmware": notModelled(`update-firmware: ${FIRMWARE}`),
  "inject-smart": notModelled("inject-smart: modules have no health"),
  "wait-scrub": waitScrub,
  "activate-firmware": notModelled(`activate-firmware: ${FIRMWARE}`),
  "start-scrub": startScrub,
  "setup-passphrase": notModelled(`setup-passphrase: ${KEYS}`),
  "update-passphrase": notModelled(`update-passphrase: ${KEYS}`),
  "remove-passphrase": notModelled(`remove-passphrase: ${KEYS}`),
  "freeze-security": notModelled(`freeze-security: ${KEYS}`),
  "sanitize-dimm": notModelled(`sanitize-dimm: ${KEYS}`),
  "load-keys": notModelled(`load-keys: ${KEYS}`),
  "wait-overwrite": notModelled(`wait-overwrite: ${KEYS}`),
  list,
  monitor: notModelled("monitor: modules have no health"),
  help: helpOf("ndctl"),
});
