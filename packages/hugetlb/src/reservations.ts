// Which huge pages a mapping was promised and hasn't had yet. A private mapping's promise is its maker's: a child that
// writes takes what is left. A shared one's is the file's, for everybody. Kernel counterpart: struct resv_map,
// hugetlb_reserve_pages(), vma_needs_reservation() and alloc_huge_page() in mm/hugetlb.c.
import { KernelError, type NodeId, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { type MmStruct, type Vma, VmFlag } from "@hetmem/mm";
import { nodesByDistance, nodesWithMemory, policyNode, policyNodemask, policyOf } from "@hetmem/mm/policy";
import { PMD_SIZE } from "@hetmem/page-table";
import { hugetlbInode } from "./hugetlb-inode.ts";
import { GFP_HUGETLB, hugetlbPool } from "./hugetlb-pool.ts";

/** What the parts of one private mapping, which may be divided, were promised together. @see HPAGE_RESV_OWNER */
interface PrivateReserve {
  readonly owner: MmStruct;
  /** Places of huge pages in the file that have had their page, and get no other from the promise. */
  readonly consumed: Set<number>;
}

/** What is kept with each private mapping. @see vm_private_data */
export class PrivateHugetlb {
  /** Undefined for a child's, and with MAP_NORESERVE. */
  readonly reserve: PrivateReserve | undefined;
  /** The owner needed a page that this mapping had too: it is lost to the process. @see HPAGE_RESV_UNMAPPED */
  lostPage = false;

  constructor(reserve?: PrivateReserve) {
    this.reserve = reserve;
  }
}

/** Place in the file, in huge pages. @see vma_hugecache_offset() */
export function hugeIndex(vma: Vma, address: VirtAddr): number {
  return Math.floor((vma.pgoffOf(address) * 4096) / PMD_SIZE);
}

/** Undefined for a shared mapping. */
export function privateHugetlb(vma: Vma): PrivateHugetlb | undefined {
  return vma.private instanceof PrivateHugetlb ? vma.private : undefined;
}

/** Whether this is the mapping that the pages were promised to. */
export function ownsReserve(vma: Vma): boolean {
  return privateHugetlb(vma)?.reserve !== undefined;
}

/**
 * Promises a new mapping all of its pages.
 *
 * @throws KernelError ENOMEM when the pool is too small, and may not grow
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

/** A part of a mapping goes: what it was promised and hasn't had is free. @see hugetlb_vm_op_close() */
export function hugetlbUnreserve(vma: Vma): void {
  const reserve = privateHugetlb(vma)?.reserve;
  if (!reserve) return;
  const unused = indexesOf(vma).filter((index) => !reserve.consumed.has(index));
  hugetlbPool(vma.mm.vm).unreserve(unused.length);
}

/** A part of a mapping shares its promise; a child's copy has none. @see hugetlb_vm_op_open(), hugetlb_dup_vma_private() */
export function hugetlbInherit(vma: Vma): void {
  const from = privateHugetlb(vma);
  if (!from) return;
  const same = from.reserve === undefined || from.reserve.owner === vma.mm;
  const copy = new PrivateHugetlb(same ? from.reserve : undefined);
  copy.lostPage = same && from.lostPage;
  vma.private = copy;
}

/**
 * A huge page for an address, from what its mapping was promised if that isn't used up. Until keepPage() a promise holds
 * again when the page is put.
 *
 * @returns NULL_PAGE when there is none @see alloc_huge_page()
 */
export function* allocHugetlbPage(vma: Vma, address: VirtAddr): Sleeps<Page> {
  const pool = hugetlbPool(vma.mm.vm);
  const nodes = nodesFor(vma, address);
  return yield* isPromised(vma, address) ? pool.takePromised(nodes) : pool.takeFree(nodes);
}

/** The page is where it was allocated for: that part of the promise has been kept. @see vma_commit_reservation() */
export function keepPage(vma: Vma, address: VirtAddr, page: Page): void {
  const index = hugeIndex(vma, address);
  if ((vma.flags & VmFlag.MAYSHARE) !== 0) hugetlbInode(vma).reserved.add(index);
  else privateHugetlb(vma)?.reserve?.consumed.add(index);
  hugetlbPool(vma.mm.vm).keep(page);
}

/** @see vma_needs_reservation() */
function isPromised(vma: Vma, address: VirtAddr): boolean {
  const index = hugeIndex(vma, address);
  if ((vma.flags & VmFlag.MAYSHARE) !== 0) return hugetlbInode(vma).reserved.has(index);
  const reserve = privateHugetlb(vma)?.reserve;
  return reserve !== undefined && !reserve.consumed.has(index);
}

function indexesOf(vma: Vma): number[] {
  const first = hugeIndex(vma, vma.start);
  return Array.from({ length: (vma.end - vma.start) / PMD_SIZE }, (_, i) => first + i);
}

/** The nodes that the policy allows, in the order in which it wants them. */
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
