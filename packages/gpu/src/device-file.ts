// The device's file in /dev. A mapping of it is populated at once with zeroed, refcounted pages of RAM, which are
// neither device memory nor page cache. Kernel counterpart: dmirror_fops_mmap() in lib/test_hmm.c.
import { KernelError, PAGE_SIZE, type VirtAddr } from "@hetmem/kernel";
import type { Vma, VmOperations } from "@hetmem/mm";
import type { FileObject } from "@hetmem/mm/file";
import { vmInsertPage } from "@hetmem/mm/vma";
import { NULL_PAGE } from "@hetmem/page";
import { Gfp, GFP_KERNEL } from "@hetmem/zone";
import type { Gpu } from "./gpu.ts";

/** Major number for local use. @see LOCAL/EXPERIMENTAL in admin-guide/devices.txt */
const MAJOR = 240;

export class GpuFile implements FileObject {
  readonly inode: number = 1;
  readonly device: FileObject["device"] = { major: MAJOR, minor: 0 };
  readonly writable: boolean = true;
  readonly mapping: undefined = undefined;
  readonly vmOps: VmOperations = {};
  private readonly gpu: Gpu;

  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  get path(): string {
    return `/dev/${this.gpu.name}`;
  }

  /** @throws KernelError ENOMEM */
  mmap(vma: Vma): void {
    const { memory } = this.gpu.vm;
    const { memmap, allocator } = memory;
    for (let at: number = vma.start; at < vma.end; at += PAGE_SIZE) {
      const page = allocator.allocPages(GFP_KERNEL | Gfp.ZERO, 0, vma.mm.node);
      if (page === NULL_PAGE) throw new KernelError("ENOMEM", `no page for a mapping of ${this.path}`);
      try {
        vmInsertPage(vma, at as VirtAddr, page);
      } finally {
        memmap.putPage(page);
      }
    }
  }
}
