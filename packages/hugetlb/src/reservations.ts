// Reservations of huge pages for mappings. That of a private mapping belongs to the process that made the mapping; a
// child has none and takes unreserved pages. That of a shared mapping belongs to the file. Kernel counterpart: struct
// resv_map, hugetlb_reserve_pages(), vma_needs_reservation() and alloc_huge_page() in mm/hugetlb.c.
import { KernelError, type NodeId, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { type MmStruct, type Vma, VmFlag } from "@hetmem/mm";
import { nodesByDistance, nodesWithMemory, policyNode, policyNodemask, policyOf } from "@hetmem/mm/policy";
import { PMD_SIZE } from "@hetmem/page-table";
import { hugetlbInode } from "./hugetlb-inode.ts";
import { GFP_HUGETLB, hugetlbPool } from "./hugetlb-pool.ts";

/** The reservation of one private mapping. The parts of a mapping that was split share it. @see HPAGE_RESV_OWNER */
interface PrivateReserve {
  readonly owner: MmStruct;
  /** Indexes in the file, in huge pages, whose reservation is used up. */
  readonly consumed: Set<number>;
}

/** Data of a private mapping. @see vm_private_data */
export class PrivateHugetlb {
  /** Undefined for a child's mapping, and for one with MAP_NORESERVE. */
  readonly reserve: PrivateReserve | undefined;
  /**
   * Whether a page of this mapping was unmapped because the owner of the reservation needed it. A later fault gets
   * SIGBUS.
   *
   * @see HPAGE_RESV_UNMAPPED
   */
  lostPage = false;

  constructor(reserve?: PrivateReserve) {
    this.reserve = reserve;
  }
}

/** Index of an address in the file, in huge pages. @see vma_hugecache_offset() */
export function hugeIndex(vma: Vma, address: VirtAddr): number {
  return Math.floor((vma.pgoffOf(address) * 4096) / PMD_SIZE);
}

/** Data of a private mapping; undefined for a shared one. */
export function privateHugetlb(vma: Vma): PrivateHugetlb | undefined {
  return vma.private instanceof PrivateHugetlb ? vma.private : undefined;
}

/** Whether the mapping has the reservation of a private mapping. @see is_vma_resv_set() with HPAGE_RESV_OWNER */
export function ownsReserve(vma: Vma): boolean {
  return privateHugetlb(vma)?.reserve !== undefined;
}

/**
 * Reserves all pages of a new mapping, unless it is MAP_NORESERVE.
 *
 * @throws KernelError ENOMEM if the pool is too small, and there may be no surplus pages
 * @see hugetlb_reserve_pages()
 */
export function* hugetlbReservePages(vma: Vma): Sleeps<void> {
  const { mm, flags } = vma;
  const shared = (flags & VmFlag.MAYSHARE) !== 0;
  if (!shared) vma.private = new PrivateHugetlb();
  if ((flags & VmFlag.NORESERVE) !== 0) return;
  const { reserved } = hugetlbInode(vma);
  const wanted = indexesOf(vma).filter((index) => !shared || !reserved.has(index));
  if (!(yield* hugetlbPool(mm.vm).reserve(wanted.length, nodesFor(vma, vma.start)))) throw tooFew(vma);
  if (shared) for (const index of wanted) reserved.add(index);
  else vma.private = new PrivateHugetlb({ owner: mm, consumed: new Set() });
}

/** Drops the unused reservations of a part of a mapping that is unmapped. @see hugetlb_vm_op_close() */
export function hugetlbUnreserve(vma: Vma): void {
  const reserve = privateHugetlb(vma)?.reserve;
  if (!reserve) return;
  const unused = indexesOf(vma).filter((index) => !reserve.consumed.has(index));
  hugetlbPool(vma.mm.vm).unreserve(unused.length);
}

/**
 * Gives a part of a split mapping the same reservation. A child's copy of a mapping gets none.
 *
 * @see hugetlb_vm_op_open(), hugetlb_dup_vma_private()
 */
export function hugetlbInherit(vma: Vma): void {
  const from = privateHugetlb(vma);
  if (!from) return;
  const same = from.reserve === undefined || from.reserve.owner === vma.mm;
  const copy = new PrivateHugetlb(same ? from.reserve : undefined);
  copy.lostPage = same && from.lostPage;
  vma.private = copy;
}

/**
 * Takes a huge page for an address: a reserved one if the reservation of the address isn't used up. If it is freed
 * before keepPage(), the reservation is restored.
 *
 * @returns the page with one reference, or NULL_PAGE if the pool has none
 * @see alloc_huge_page()
 */
export function* allocHugetlbPage(vma: Vma, address: VirtAddr): Sleeps<Page> {
  const pool = hugetlbPool(vma.mm.vm);
  const nodes = nodesFor(vma, address);
  return yield* isPromised(vma, address) ? pool.takePromised(nodes) : pool.takeFree(nodes);
}

/** Uses up the reservation of an address, whose page is about to be mapped. @see vma_commit_reservation() */
export function keepPage(vma: Vma, address: VirtAddr, page: Page): void {
  const index = hugeIndex(vma, address);
  if ((vma.flags & VmFlag.MAYSHARE) !== 0) hugetlbInode(vma).reserved.add(index);
  else privateHugetlb(vma)?.reserve?.consumed.add(index);
  hugetlbPool(vma.mm.vm).keep(page);
}

/** Whether an address has a reservation that isn't used up. @see vma_needs_reservation() */
function isPromised(vma: Vma, address: VirtAddr): boolean {
  const index = hugeIndex(vma, address);
  if ((vma.flags & VmFlag.MAYSHARE) !== 0) return hugetlbInode(vma).reserved.has(index);
  const reserve = privateHugetlb(vma)?.reserve;
  return reserve !== undefined && !reserve.consumed.has(index);
}

/** Indexes in the file, in huge pages, that a mapping covers. */
function indexesOf(vma: Vma): number[] {
  const first = hugeIndex(vma, vma.start);
  return Array.from({ length: (vma.end - vma.start) / PMD_SIZE }, (_, i) => first + i);
}

/** The nodes that the memory policy allows, in its order of preference. */
function nodesFor(vma: Vma, address: VirtAddr): NodeId[] {
  const { mm } = vma;
  const { memory } = mm.vm;
  const policy = policyOf(mm, vma);
  const near = policyNode(mm, vma, address, Math.log2(PMD_SIZE));
  const allowed = policyNodemask(memory, policy, GFP_HUGETLB) ?? nodesWithMemory(memory);
  const nodes = nodesByDistance(mm.vm, near, allowed);
  if (policy?.mode !== "preferred_many") return nodes;
  return [...new Set([...nodes.filter((node) => policy.nodes.includes(node)), ...nodes])];
}

function tooFew({ mm, start, end }: Vma): KernelError {
  const { total, free, reserved } = hugetlbPool(mm.vm).counts;
  return new KernelError(
    "ENOMEM",
    `${(end - start) / PMD_SIZE} huge pages can't be promised: of ${total} in the pool ${free} are free, and ${reserved} of those promised; raise vm.nr_hugepages or vm.nr_overcommit_hugepages`,
  );
}
