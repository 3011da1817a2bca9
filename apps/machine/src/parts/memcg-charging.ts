// Charging to memory cgroups, with the controller `memory`; and none. Kernel counterparts: mm/memcontrol.c, cgroup_disable= in
// kernel/cgroup/cgroup.c.
import type { CgroupSubsys } from "@hetmem/cgroup";
import { attributeMemory, OomHistory } from "@hetmem/explain";
import {
  inheritedSwappiness,
  legacyMemoryFiles,
  Limits,
  MemoryCgroup,
  MemoryCgroups,
  MemoryController,
  memoryFiles,
  type MemoryTask,
} from "@hetmem/memcg";
import { uncharged } from "@hetmem/mm";
import type { AttributeTable } from "@hetmem/vfs";
import type { ChargingController, ChargingHost, ChargingPart } from "./charging-part.ts";

/** Memory cgroups, unless the boot option cgroup_disable=memory turns them off. */
export const memcgCharging: ChargingPart = (host) => {
  if (host.options.cgroup_disable?.includes("memory")) return { charging: uncharged };
  const { memory, config } = host;
  const memcgs = new MemoryCgroups(memory, { kernelMemory: config.has("MEMCG_KMEM"), built: config });
  return { charging: memcgs.charging, controller: memoryController(memcgs, host) };
};

/** Pages are charged to no cgroup. @see CONFIG_MEMCG=n */
export const noCharging: ChargingPart = () => ({ charging: uncharged });

function memoryController(
  memcgs: MemoryCgroups,
  { options, cgroup, config }: ChargingHost,
): ChargingController {
  const limits = new Limits(memcgs);
  const history = new OomHistory(limits);
  const psi = config.has("PSI");
  return {
    rootPayer: memcgs.root.id,
    payerOf: (css) => (css instanceof MemoryCgroup ? css.id : 0),
    subsystem(writer): CgroupSubsys<MemoryTask> {
      const context = { memcgs, limits, writer };
      return cgroup === "v1"
        ? new MemoryController(memcgs, legacyMemoryFiles(context), inheritedSwappiness(memcgs))
        : new MemoryController(
            memcgs,
            memoryFiles({ ...context, psi: psi && !options.cgroup_disable?.includes("pressure") }),
          );
    },
    tables: psi ? [memoryPressureTable(memcgs, limits)] : [],
    explain(css, names) {
      const payer = css instanceof MemoryCgroup ? css : memcgs.root;
      return { attribution: attributeMemory(memcgs, payer, names), ooms: history.of(payer) };
    },
  };
}

/** How long processes of the whole machine have waited for memory. @see psi_proc_init() in kernel/sched/psi.c */
function memoryPressureTable({ root }: MemoryCgroups, { stalls }: Limits): AttributeTable {
  return { root: "/proc/pressure", files: { memory: { show: () => stalls.text(root) } } };
}
