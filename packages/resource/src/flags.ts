// Flags and descriptors of resources, with the kernel's names and bits. Flags say what a resource is, the descriptor
// what the range is used for. Flags are 32-bit integers as JavaScript's bit operators make them, so that
// `IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY` can be compared with `===`: IORESOURCE_BUSY, the top bit, is a negative
// number. Kernel counterpart: include/linux/ioport.h.

/** Mask of the address space: memory, I/O ports. */
export const IORESOURCE_TYPE_BITS = 0x0000_1f00;
/** The resource is a range of I/O ports. */
export const IORESOURCE_IO = 0x0000_0100;
/** The resource is a range of physical addresses. */
export const IORESOURCE_MEM = 0x0000_0200;
/** Reads have no side effects. */
export const IORESOURCE_PREFETCH = 0x0000_2000;
/** The range can only be read. */
export const IORESOURCE_READONLY = 0x0000_4000;
/** A window that a bridge forwards. */
export const IORESOURCE_WINDOW = 0x0020_0000;
/** Mask of extended types. IORESOURCE_SYSRAM is the only one. */
export const IORESOURCE_EXT_TYPE_BITS = 0x0100_0000;
/** Extended type: the range is RAM of the system. */
export const IORESOURCE_SYSRAM = 0x0100_0000;
/** RAM added by a driver and absent from the firmware's memory map. kexec doesn't use it. */
export const IORESOURCE_SYSRAM_DRIVER_MANAGED = 0x0200_0000;
/** RAM that may be merged with mergeable neighbours. @see merge_system_ram_resource() in kernel/resource.c */
export const IORESOURCE_SYSRAM_MERGEABLE = 0x0400_0000;
/** User space may not map the range. */
export const IORESOURCE_EXCLUSIVE = 0x0800_0000;
/** The device does not decode the range. */
export const IORESOURCE_DISABLED = 0x1000_0000;
/** The resource has a size and no address yet. */
export const IORESOURCE_UNSET = 0x2000_0000;
/** A driver owns the range: requests of regions inside fail with EBUSY. */
export const IORESOURCE_BUSY = 0x8000_0000 | 0;
/** Flags of a line "System RAM" of /proc/iomem. */
export const IORESOURCE_SYSTEM_RAM = IORESOURCE_MEM | IORESOURCE_SYSRAM;

/** The resource has no descriptor. A search with it matches every descriptor. */
export const IORES_DESC_NONE = 0;
/** Memory that is reserved for the crash kernel. */
export const IORES_DESC_CRASH_KERNEL = 1;
/** Tables of the firmware. */
export const IORES_DESC_ACPI_TABLES = 2;
/** Memory that the firmware keeps over sleep states. */
export const IORES_DESC_ACPI_NV_STORAGE = 3;
/** Persistent memory. */
export const IORES_DESC_PERSISTENT_MEMORY = 4;
/** Persistent memory of type 12 of the e820 map, or of memmap=. */
export const IORES_DESC_PERSISTENT_MEMORY_LEGACY = 5;
/** Addresses that stand for memory that only a device reaches. */
export const IORES_DESC_DEVICE_PRIVATE_MEMORY = 6;
/** Memory that the firmware reserves. */
export const IORES_DESC_RESERVED = 7;
/** Memory that the firmware sets aside for a special purpose. */
export const IORES_DESC_SOFT_RESERVED = 8;
/** A range that a CXL bridge decodes. */
export const IORES_DESC_CXL = 9;

/** A descriptor: the use of a range, by which walks can search. @see IORES_DESC_* in include/linux/ioport.h */
export type IoresDesc = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;
