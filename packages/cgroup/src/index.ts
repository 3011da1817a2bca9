export { Cgroup } from "./cgroup.ts";
export { CgroupDirectory } from "./cgroup-directory.ts";
export { type CoreFiles, legacyFiles, unifiedFiles } from "./core-files.ts";
export { CgroupHierarchy, type HierarchyOptions, type HierarchyRules, legacy, unified } from "./hierarchy.ts";
export { cgroupInvariants } from "./invariants.ts";
export { PressureGroup } from "./pressure.ts";
export { type CgroupProcOptions, cgroupProcTable } from "./procfs.ts";
export { type ControlChange, parseControl, setSubtreeControl } from "./subtree-control.ts";
export { type CgroupFile, type CgroupSubsys, type CgroupTask, type CgroupTasks } from "./subsys.ts";
