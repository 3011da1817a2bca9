// Kernel stacks of processes: 16 KiB of unmovable pages each, which keep memory blocks from going offline. They are
// charged to the process's cgroup and counted as nr_kernel_stack. Kernel counterpart: alloc_thread_stack_node() in
// kernel/fork.c.
import { type NodeId, type Page } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, GFP_KERNEL_ACCOUNT, NodeStat } from "@hetmem/zone";
import type { MmStruct } from "../mm-struct.ts";
import { addNodeStat } from "../node-stat.ts";
import type { Vm } from "../vm.ts";

/** Pages of a kernel stack. @see THREAD_SIZE in arch/x86/include/asm/page_64_types.h */
const STACK_PAGES = 4;
const KIB_OF_PAGE = 4;

/** Allocates the pages of a stack, to be mapped one after the other. @returns undefined when memory is short */
export function allocKernelStack(vm: Vm, mm: MmStruct | undefined, near: NodeId): Page[] | undefined {
  const pages: Page[] = [];
  while (pages.length < STACK_PAGES) {
    const page = vm.pages.tryAllocKernel(GFP_KERNEL_ACCOUNT | Gfp.ZERO, near, mm?.payer ?? 0);
    if (page === NULL_PAGE) {
      freeKernelStack(vm, pages);
      return undefined;
    }
    addNodeStat(vm, page, NodeStat.nr_kernel_stack, KIB_OF_PAGE);
    vm.charging.counts?.vmallocPage(page, 1);
    pages.push(page);
  }
  return pages;
}

/** Frees the pages of a stack. @see free_thread_stack() */
export function freeKernelStack(vm: Vm, pages: readonly Page[]): void {
  for (const page of pages) {
    addNodeStat(vm, page, NodeStat.nr_kernel_stack, -KIB_OF_PAGE);
    vm.charging.counts?.vmallocPage(page, -1);
    vm.memmap.putPage(page);
  }
}
