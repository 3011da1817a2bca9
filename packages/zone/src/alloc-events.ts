// Events of the allocator's tracepoints. Kernel counterpart: include/trace/events/kmem.h.
import type { Page } from "@hetmem/kernel";
import type { MigrateType } from "./zone-type.ts";

/** Event of the tracepoint mm_page_alloc. */
export interface MmPageAlloc {
  /** NULL_PAGE when the allocation failed. */
  readonly page: Page;
  readonly order: number;
  readonly gfp: number;
  readonly migratetype: MigrateType;
}

/** Event of the tracepoint mm_page_free. */
export interface MmPageFree {
  readonly page: Page;
  readonly order: number;
}
