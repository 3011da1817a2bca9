// A plan as plain data: the differences between a machine before and after a dax device becomes RAM. hetmem makes plans.

/** Bytes of a zone. */
export interface ZoneBytes {
  readonly present: number;
  readonly managed: number;
  readonly free: number;
}

export interface PlannedZone {
  readonly node: number;
  readonly zone: string;
  readonly before: ZoneBytes;
  readonly after: ZoneBytes;
}

export interface PlannedBlock {
  /** The N of memoryN. */
  readonly block: number;
  /** First byte. */
  readonly start: number;
  readonly zone: string;
  readonly canGoOffline: boolean;
  readonly why: string;
}

/** RAM that the struct pages of memory take. */
export interface StructPages {
  readonly bytes: number;
  readonly nodes: readonly { readonly node: number; readonly bytes: number }[];
}

export interface Plan {
  readonly device: string;
  /** The namespace that the device is, with the bytes that its metadata takes among its own. */
  readonly namespace?: { readonly name: string; readonly size: number };
  /** Whether processes alone may use the memory. */
  readonly zone: "movable" | "kernel";
  readonly node: number;
  /** Whether the node had no memory and no cpus before. */
  readonly nodeIsNew: boolean;
  /** The commands to type. */
  readonly commands: readonly string[];
  /** Bytes of the device, of it that become RAM, that don't fill a memory block, and that have bad memory in their block. */
  readonly size: number;
  readonly added: number;
  readonly trimmed: number;
  readonly bad: number;
  /** Zones of which something changes. */
  readonly zones: readonly PlannedZone[];
  readonly structPages: StructPages;
  /** Bytes that the device's struct pages took before, and give back. */
  readonly structPagesBefore: StructPages;
  readonly ratio: { readonly kernel: number; readonly movable: number; readonly advice: string };
  readonly blocks: readonly PlannedBlock[];
  readonly distances: readonly { readonly node: number; readonly distance: number }[];
  /** Nodes by tier, the fastest first; empty where the release shows no tiers. */
  readonly tiers: readonly { readonly tier: number; readonly nodes: readonly number[] }[];
  readonly warnings: readonly string[];
}
