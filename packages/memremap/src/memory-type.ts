// The types of device memory and the rules for the pages of each. The kernel spreads these rules over a dozen
// predicates in mm/; here they are one table, which the README repeats. The set of types of a release is a policy.
// Kernel counterpart: enum memory_type in include/linux/memremap.h.
import { KernelError } from "@hetmem/kernel";

/** @see enum memory_type. The numbers are ours: the kernel's changed with every kind that came or went. */
export const MemoryType = {
  /** Memory that only its device can address. A cpu access faults, and the driver migrates the page to RAM. */
  DevicePrivate: 1,
  /** Memory that cpu and device access coherently. 4.14 to 5.2. */
  DevicePublic: 2,
  /** Memory that cpu and device access coherently, and which FOLL_LONGTERM pins migrate to RAM. Since 6.0. */
  DeviceCoherent: 3,
  /** Persistent memory whose pages belong to files of a DAX file system. */
  DeviceFsDax: 4,
  /** Memory mapped directly by device-dax. */
  DeviceGeneric: 5,
  /** Memory of a PCI device that other PCI devices access by DMA. */
  DevicePciP2pdma: 6,
} as const;
export type MemoryType = (typeof MemoryType)[keyof typeof MemoryType];

/** The cache mode of a range. @see enum page_cache_mode in arch/x86/include/asm/pgtable_types.h */
export type CacheMode = "write-back" | "write-through" | "write-combining" | "uncached-minus";

/** The rules for the pages of one memory type. */
export interface MemoryTypeRules {
  /** Name in messages. */
  readonly name: string;
  /** Whether the cpu can address the memory: it is in the direct map, and page tables may map it. */
  readonly addressable: boolean;
  readonly cacheMode: CacheMode;
  /** Whether the driver allocates single pages. All pages of other types are in use from the mapping on. */
  readonly allocatedByDriver: boolean;
  /** Whether pages of processes can be migrated to and from the memory. */
  readonly migratable: boolean;
  /** Whether FOLL_LONGTERM pins are allowed. */
  readonly longtermPins: boolean;
  /** Fields that the driver's pagemap must have. */
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

/** Policy: the memory types of a release. */
export type MemoryTypePolicy = ReadonlySet<MemoryType>;

const ALWAYS = [
  MemoryType.DevicePrivate,
  MemoryType.DeviceFsDax,
  MemoryType.DeviceGeneric,
  MemoryType.DevicePciP2pdma,
];
/** 4.14 to 5.2. @see df6ad69838fc: public device memory was merged in 2017, in the same series as private */
export const publicDeviceMemory: MemoryTypePolicy = new Set([...ALWAYS, MemoryType.DevicePublic]);
/** 5.3 to 5.19: public device memory was removed for lack of users. @see 25b2995a35b6 */
export const privateDeviceMemory: MemoryTypePolicy = new Set(ALWAYS);
/** Since 6.0. @see f25cbb7a95a2 */
export const coherentDeviceMemory: MemoryTypePolicy = new Set([...ALWAYS, MemoryType.DeviceCoherent]);

/** A kernel without ZONE_DEVICE. @see CONFIG_ZONE_DEVICE=n */
export const noDeviceMemory: MemoryTypePolicy = new Set();

/**
 * Checks that a pagemap has the fields that its memory type requires.
 *
 * @throws KernelError ENXIO for a kernel without ZONE_DEVICE, EINVAL when the kernel lacks the type, or that names the missing field
 * @see the switch in memremap_pages() in mm/memremap.c
 */
export function checkMemoryType(
  policy: MemoryTypePolicy,
  type: MemoryType,
  has: Readonly<Record<"pageFree" | "migrateToRam" | "owner", boolean>>,
): void {
  const { name, needs } = MEMORY_TYPES[type];
  if (policy.size === 0)
    throw new KernelError("ENXIO", "this kernel has no ZONE_DEVICE: set CONFIG_ZONE_DEVICE");
  if (!policy.has(type))
    throw new KernelError("EINVAL", `this kernel has no ${name}: choose another profile, or set its CONFIG_`);
  const missing = needs.find((need) => !has[need]);
  if (missing !== undefined)
    throw new KernelError("EINVAL", `${name} needs ${missing}, and the driver brings none`);
}
