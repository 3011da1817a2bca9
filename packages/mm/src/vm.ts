// The root object of the processes' memory on one machine, over a booted Memory. Its fields are the parts, most of
// which are a folder of this package, and the ports of packages above. A port without an implementation gets the
// default of its file. There is no global state.
import { type Kernel, KernelError, type Page, PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import { type NotifierCoverage, Srcu } from "@hetmem/mmu-notifier";
import { type MemMap, NULL_PAGE, PageFlag } from "@hetmem/page";
import { TableArenas } from "@hetmem/page-table";
import { Gfp, GFP_KERNEL, type Memory } from "@hetmem/zone";
import { Mappings } from "./file/mappings.ts";
import { DeferredSplits } from "./huge/deferred-split.ts";
import { Lru } from "./lru/lru.ts";
import type { MmStruct } from "./mm-struct.ts";
import { type PageCharging, uncharged } from "./ports/charging.ts";
import { type Demotion, noDemotion } from "./ports/demotion.ts";
import { type DevicePages, noDevicePages } from "./ports/device-pages.ts";
import { type HugeCollapse, noHugeCollapse } from "./ports/huge-collapse.ts";
import { type Hugetlb, noHugetlb } from "./ports/hugetlb.ts";
import { type MemoryTiers, oneTier } from "./ports/memory-tiers.ts";
import { noOomChoice, type OomChoice } from "./ports/oom-choice.ts";
import { noReclaim, type PageReclaim } from "./ports/page-reclaim.ts";
import { noPromotion, type Promotion } from "./ports/promotion.ts";
import { noSharedMemory, type SharedMemory } from "./ports/shared-memory.ts";
import { noSwap, type Swap } from "./ports/swap.ts";
import { ROOT } from "./process/credentials.ts";
import { Processes } from "./process/processes.ts";
import { type RlimitName, Rlimits } from "./process/rlimits.ts";
import { AnonVmas } from "./rmap/anon-vma.ts";
import { defaultTunables, type Tunables } from "./tunables.ts";
import { UserPages } from "./user-pages.ts";
import { freeKbytes } from "./vma/commit-reserves.ts";
import { Commit, totalRamPages } from "./vma/commit.ts";
import type { MemoryErrors } from "./ports/memory-errors.ts";
import type { MlockCounts } from "./vma/mlock-page.ts";

/**
 * Parts from packages above, each of which exports its own to be spread. An absent part is one that the machine
 * lacks.
 */
export interface VmParts {
  readonly hugetlb?: (vm: Vm) => Hugetlb;
  readonly swap?: (vm: Vm) => Swap;
  readonly reclaim?: (vm: Vm) => PageReclaim;
  readonly sharedMemory?: (vm: Vm) => SharedMemory;
  readonly khugepaged?: (vm: Vm) => HugeCollapse;
  readonly oomChoice?: (vm: Vm) => OomChoice;
  readonly tiers?: (vm: Vm) => MemoryTiers;
  readonly demotion?: (vm: Vm) => Demotion;
  readonly promotion?: (vm: Vm) => Promotion;
}

export interface VmOptions extends VmParts {
  /** Whether address spaces may have huge pages; they may when absent. @see CONFIG_TRANSPARENT_HUGEPAGE */
  readonly transparentHugepages?: boolean;
  /** Charging to memory cgroups; absent: no charging. */
  readonly charging?: PageCharging;
  /** Pages of devices; absent: there are none. */
  readonly devices?: DevicePages;
  readonly tunables?: Partial<Tunables>;
  /** Soft limits of process 1 that differ from the kernel's. */
  readonly rlimits?: Partial<Record<RlimitName, number>>;
}

/** The processes and address spaces of a machine, and the parts that serve them. */
export class Vm {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly memmap: MemMap;
  readonly charging: PageCharging;
  /** Whether address spaces may have huge pages. Without, the tunable is `never`, and advice about them is EINVAL. */
  readonly transparentHugepages: boolean;
  /** Pages of devices. */
  readonly devices: DevicePages;
  /** Settings in /proc/sys/vm and /sys/kernel/mm. */
  readonly tunables: Tunables;
  readonly lru: Lru;
  readonly anonVmas: AnonVmas;
  /** Address spaces of files, by number. */
  readonly mappings: Mappings;
  readonly processes: Processes;
  /** Pages promised to address spaces. */
  readonly commit: Commit;
  /** All live address spaces. */
  readonly addressSpaces: Set<MmStruct> = new Set();
  /** The page that anonymous memory maps before its first write. @see ZERO_PAGE() */
  readonly zeroPage: Page;
  readonly zeroPfn: Pfn;
  readonly hugetlb: Hugetlb;
  readonly swap: Swap;
  readonly reclaim: PageReclaim;
  readonly sharedMemory: SharedMemory;
  /** Chooses the process that the OOM killer kills. */
  readonly oomChoice: OomChoice;
  /** Tiers of nodes, and demotion targets. */
  readonly tiers: MemoryTiers;
  /** Moves cold pages to slower memory. */
  readonly demotion: Demotion;
  /** Moves pages to the nodes that use them. */
  readonly promotion: Promotion;
  /** Allocates and frees the pages of processes, files and page tables. */
  readonly pages: UserPages;
  /** SRCU domain of MMU notifier callbacks. */
  readonly notifierSrcu: Srcu = new Srcu();
  /** Checks that notifiers are called for every change of an entry; undefined when that isn't checked. */
  coverage: NotifierCoverage | undefined = undefined;
  readonly tableArenas: TableArenas = new TableArenas();
  /** Mlock counts above one, by page. */
  readonly mlockCounts: MlockCounts = new Map();
  /** Queue of partially unmapped huge pages. */
  readonly deferredSplits: DeferredSplits = new DeferredSplits();
  readonly khugepaged: HugeCollapse;
  /** Handling of bad memory, for MADV_HWPOISON; undefined on a machine without it. */
  memoryErrors: MemoryErrors | undefined = undefined;
  /** Counters of each node, by NodeStat. */
  readonly nodeStats: readonly Float64Array[];
  private lastMmId = 0;

  /** @throws KernelError ENOMEM when the machine has no free page */
  constructor(
    memory: Memory,
    {
      charging = uncharged,
      devices = noDevicePages,
      transparentHugepages = true,
      tunables,
      rlimits,
      ...parts
    }: VmOptions = {},
  ) {
    this.memory = memory;
    this.kernel = memory.kernel;
    this.memmap = memory.memmap;
    this.nodeStats = memory.nodes.map((node) => node?.stat ?? new Float64Array(0));
    this.charging = charging;
    this.devices = devices;
    this.transparentHugepages = transparentHugepages;
    this.tunables = {
      ...defaultTunables(freeKbytes(memory)),
      ...(!transparentHugepages && { transparentHugepage: "never" }),
      ...tunables,
    };
    this.lru = new Lru(memory, charging);
    this.anonVmas = new AnonVmas(memory.kernel);
    this.mappings = new Mappings();
    this.processes = new Processes({
      rlimits: Rlimits.ofInit(totalRamPages({ memory }) * PAGE_SIZE, rlimits),
      credentials: ROOT,
    });
    this.commit = new Commit(this);
    this.zeroPage = allocZeroPage(memory);
    this.zeroPfn = memory.memmap.pageToPfn(this.zeroPage);
    this.hugetlb = parts.hugetlb?.(this) ?? noHugetlb;
    this.swap = parts.swap?.(this) ?? noSwap;
    this.reclaim = parts.reclaim?.(this) ?? noReclaim(this);
    this.sharedMemory = parts.sharedMemory?.(this) ?? noSharedMemory;
    this.khugepaged = parts.khugepaged?.(this) ?? noHugeCollapse;
    this.oomChoice = parts.oomChoice?.(this) ?? noOomChoice;
    this.tiers = parts.tiers?.(this) ?? oneTier(memory);
    this.demotion = parts.demotion?.(this) ?? noDemotion;
    this.promotion = parts.promotion?.(this) ?? noPromotion;
    this.pages = new UserPages(this);
    charging.start(this);
  }

  /** A new number for an address space. Never reused. */
  nextMmId(): number {
    return ++this.lastMmId;
  }
}

function allocZeroPage({ allocator, memmap, nodes }: Memory): Page {
  const node = nodes.find((candidate) => candidate !== undefined && candidate.managedPages > 0);
  const page = node ? allocator.allocPages(GFP_KERNEL | Gfp.ZERO, 0, node.id) : (NULL_PAGE as Page);
  if (page === NULL_PAGE) throw new KernelError("ENOMEM", "the machine has no memory for processes");
  memmap.set(page, PageFlag.reserved);
  return page;
}
