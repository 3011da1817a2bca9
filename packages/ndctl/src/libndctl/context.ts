// The libraries' context: a file tree, device nodes and a listener for messages. User space counterpart: struct ndctl_ctx in
// ndctl/lib/libndctl.c.
import type { TreeContext } from "../sysfs/attributes.ts";
import type { DeviceNodes } from "./device-nodes.ts";
import type { NdctlReport } from "./report.ts";

export interface NdctlContext extends TreeContext {
  readonly nodes: DeviceNodes;
  readonly report: NdctlReport;
}
