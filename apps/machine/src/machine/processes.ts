// What a running program costs the kernel, whatever it does: a page global directory, page tables and a kernel stack,
// none of which can be moved. It is why a block that was just onlined as kernel memory can't go offline again while
// somebody types the command. Kernel counterparts: mm_alloc_pgd() and alloc_thread_stack_node() in kernel/fork.c.
import { KernelError, type NodeId, type Page } from "@hetmem/kernel";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { Gfp, GFP_KERNEL_ACCOUNT, type Memory, NodeStat } from "@hetmem/zone";
import type { ProcessPort, RunningProcess } from "../shell/process-port.ts";

/** A directory, and one table of each lower level for the text, the heap and the stack. */
const PAGE_TABLES = 9;
/** 16 KiB of stack. @see THREAD_SIZE in arch/x86/include/asm/page_64_types.h */
const STACK_PAGES = 4;

export class Processes implements ProcessPort {
  readonly #memory: Memory;
  readonly #node: NodeId;

  /** @param node where the cpu stands on which programs run */
  constructor(memory: Memory, node: NodeId) {
    this.#memory = memory;
    this.#node = node;
  }

  /** @throws KernelError ENOMEM when there is no memory for it */
  fork(name: string): RunningProcess {
    const pages: Page[] = [];
    try {
      for (let i = 0; i < PAGE_TABLES; i++) pages.push(this.#alloc(name, PageFlag.table));
      for (let i = 0; i < STACK_PAGES; i++) pages.push(this.#alloc(name, 0));
    } catch (error) {
      this.#free(pages);
      throw error;
    }
    this.#count(pages, 1);
    return {
      exit: () => {
        this.#count(pages, -1);
        this.#free(pages);
      },
    };
  }

  #alloc(name: string, flags: number): Page {
    const page = this.#memory.allocator.allocPages(GFP_KERNEL_ACCOUNT | Gfp.ZERO, 0, this.#node);
    if (page === NULL_PAGE) throw new KernelError("ENOMEM", `no memory to start ${name}`);
    if (flags !== 0) this.#memory.memmap.set(page, flags);
    return page;
  }

  #free(pages: readonly Page[]): void {
    const { memmap } = this.#memory;
    for (const page of pages.toReversed()) {
      if (memmap.test(page, PageFlag.table)) memmap.clear(page, PageFlag.table);
      memmap.putPage(page);
    }
  }

  #count(pages: readonly Page[], sign: 1 | -1): void {
    const { memmap, nodes } = this.#memory;
    for (const [i, page] of pages.entries()) {
      const stat = nodes[memmap.nodeOf(page)]?.stat;
      if (!stat) continue;
      const item = i < PAGE_TABLES ? NodeStat.nr_page_table_pages : NodeStat.nr_kernel_stack;
      stat[item] = (stat[item] ?? 0) + (i < PAGE_TABLES ? sign : sign * 4);
    }
  }
}
