// ndctl: persistent memory, its namespaces, labels and errors. What the real program writes to files of /sys it does here
// through the functions behind them, in the same steps. User space counterpart: ndctl(1) 76.
import type { Program } from "../../program.ts";
import { tool } from "../tool/run.ts";
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

export const ndctl: Program = tool("ndctl", {
  "enable-namespace": enableNamespaces,
  "disable-namespace": disableNamespaces,
  "create-namespace": createNamespace,
  "destroy-namespace": destroyNamespaces,
  "enable-region": enableRegions,
  "disable-region": disableRegions,
  "enable-dimm": enableDimms,
  "disable-dimm": disableDimms,
  "zero-labels": zeroLabelAreas,
  "read-labels": readLabelAreas,
  "init-labels": initLabelAreas,
  "check-labels": checkLabelAreas,
  "inject-error": injectErrors,
  "clear-errors": clearErrors,
  "start-scrub": startScrub,
  "wait-scrub": waitScrub,
  list,
});
