export { ensureHugetlbPmd } from "./hugetlb-fault.ts";
export { HugetlbInode } from "./hugetlb-inode.ts";
export { hugetlbParts } from "./hugetlb-memory.ts";
export { hugetlbPool } from "./hugetlb-pool.ts";
export { hugetlbTables } from "./hugetlb-sysfs.ts";
export { hugeIndex, privateHugetlb } from "./reservations.ts";
