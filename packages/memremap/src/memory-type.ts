// What kinds of device memory there are, and what may be done with the pages of each. The kernel spreads these answers
// over a dozen predicates in mm/; here they are one table, which the README prints too. Which kinds a release knows is
// a policy. Kernel counterpart: enum memory_type in include/linux/memremap.h.
import { KernelError } from "@hetmem/kernel";

/** @see enum memory_type. The numbers are ours: the kernel's changed with every kind that came or went. */
export const MemoryType = {
  /** Memory that only its device reaches: the cpu faults, and the driver moves the page back. */
  DevicePrivate: 1,
  /** Memory that both reach, coherently, over a bus that the cpu caches across. 4.14 to 5.2. */
  DevicePublic: 2,
  /** The same idea again, with rules against pins that keep it in the device. Since 6.0. */
  DeviceCoherent: 3,
  /** Persistent memory whose pages belong to files of a DAX file system. */
  DeviceFsDax: 4,
  /** Memory of a device that is mapped as it is: device-dax. */
  DeviceGeneric: 5,
  /** A PCI device's memory that others on the bus may write into. */
  DevicePciP2pdma: 6,
} as const;
export type MemoryType = (typeof MemoryType)[keyof typeof MemoryType];

/** How a range is cached. @see enum page_cache_mode in arch/x86/include/asm/pgtable_types.h */
export type CacheMode = "write-back" | "write-through" | "write-combining" | "uncached-minus";

/** What the pages of one kind of memory are and allow. */
export interface MemoryTypeRules {
  /** As messages name it. */
  readonly name: string;
  /** Whether the cpu can reach it: it is in the direct map, and page tables may hold its pages. */
  readonly addressable: boolean;
  readonly cacheMode: CacheMode;
  /** Whether its driver hands out single pages, as an allocator would. Others are all handed out at once. */
  readonly allocatedByDriver: boolean;
  /** Whether pages of processes move into it and out of it. */
  readonly migratable: boolean;
  /** Whether a user may pin a page for as long as he likes. */
  readonly longtermPins: boolean;
  /** What its driver must bring along. */
  readonly needs: readonly ("pageFree" | "migrateToRam" | "owner")[];
}

export const MEMORY_TYPES: Readonly<Record<MemoryType, MemoryTypeRules>> = {
  [MemoryType.DevicePrivate]: {
    name: "MEMORY_DEVICE_PRIVATE",
    addressable: false,
    cacheMode: "write-back",
    allocatedByDriver: true,
    migratable: true,
    longtermPins: false,
    needs: ["migrateToRam", "pageFree", "owner"],
  },
  [MemoryType.DevicePublic]: {
    name: "MEMORY_DEVICE_PUBLIC",
    addressable: true,
    cacheMode: "write-back",
    allocatedByDriver: true,
    migratable: true,
    longtermPins: false,
    needs: ["pageFree"],
  },
  [MemoryType.DeviceCoherent]: {
    name: "MEMORY_DEVICE_COHERENT",
    addressable: true,
    cacheMode: "write-back",
    allocatedByDriver: true,
    migratable: true,
    longtermPins: false,
    needs: ["pageFree", "owner"],
  },
  [MemoryType.DeviceFsDax]: {
    name: "MEMORY_DEVICE_FS_DAX",
    addressable: true,
    cacheMode: "write-back",
    allocatedByDriver: false,
    migratable: false,
    longtermPins: false,
    needs: [],
  },
  [MemoryType.DeviceGeneric]: {
    name: "MEMORY_DEVICE_GENERIC",
    addressable: true,
    cacheMode: "write-back",
    allocatedByDriver: false,
    migratable: false,
    longtermPins: true,
    needs: [],
  },
  [MemoryType.DevicePciP2pdma]: {
    name: "MEMORY_DEVICE_PCI_P2PDMA",
    addressable: true,
    cacheMode: "uncached-minus",
    allocatedByDriver: false,
    migratable: false,
    longtermPins: false,
    needs: [],
  },
};

/** Policy: the kinds that a release knows. */
export type MemoryTypePolicy = ReadonlySet<MemoryType>;

const ALWAYS = [
  MemoryType.DevicePrivate,
  MemoryType.DeviceFsDax,
  MemoryType.DeviceGeneric,
  MemoryType.DevicePciP2pdma,
];
/** 4.14 to 5.2. @see df6ad69838fc: public device memory goes in 2017 and comes in the same series as private */
export const publicDeviceMemory: MemoryTypePolicy = new Set([...ALWAYS, MemoryType.DevicePublic]);
/** 5.3 to 5.19: nobody had used public memory. @see 25b2995a35b6 */
export const privateDeviceMemory: MemoryTypePolicy = new Set(ALWAYS);
/** Since 6.0. @see f25cbb7a95a2 */
export const coherentDeviceMemory: MemoryTypePolicy = new Set([...ALWAYS, MemoryType.DeviceCoherent]);

/**
 * Whether a pagemap brings what its kind of memory needs.
 *
 * @throws KernelError EINVAL that names what is missing
 * @see the switch in memremap_pages() in mm/memremap.c
 */
export function checkMemoryType(
  policy: MemoryTypePolicy,
  type: MemoryType,
  has: Readonly<Record<"pageFree" | "migrateToRam" | "owner", boolean>>,
): void {
  const { name, needs } = MEMORY_TYPES[type];
  if (!policy.has(type))
    throw new KernelError("EINVAL", `this kernel has no ${name}: choose another profile`);
  const missing = needs.find((need) => !has[need]);
  if (missing !== undefined)
    throw new KernelError("EINVAL", `${name} needs ${missing}, and the driver brings none`);
}
