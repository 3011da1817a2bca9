// All that the command line loads when a command is called for, and what tells its errors: these know the classes of errors of
// the machine that threw them.
export { boot } from "./boot.ts";
export { explain } from "./explain.ts";
export { exportTree } from "./export.ts";
export { failWith } from "./failure.ts";
export { plan } from "./plan.ts";
export { sh } from "./sh.ts";
