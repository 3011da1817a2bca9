// Flags and descriptors by resource name. Firmware, buses and drivers give their resources well-known names; the text
// of /proc/iomem shows the names alone. Kernel counterparts: e820_type_to_string() and do_mark_busy() in
// arch/x86/kernel/e820.c, arch/x86/kernel/setup.c, arch/x86/kernel/probe_roms.c, drivers/pnp/system.c,
// drivers/cxl/acpi.c, drivers/dax/kmem.c.
import {
  IORES_DESC_ACPI_NV_STORAGE,
  IORES_DESC_ACPI_TABLES,
  IORES_DESC_CRASH_KERNEL,
  IORES_DESC_CXL,
  IORES_DESC_NONE,
  IORES_DESC_PERSISTENT_MEMORY,
  IORES_DESC_PERSISTENT_MEMORY_LEGACY,
  IORES_DESC_RESERVED,
  IORES_DESC_SOFT_RESERVED,
  type IoresDesc,
  IORESOURCE_BUSY,
  IORESOURCE_MEM,
  IORESOURCE_READONLY,
  IORESOURCE_SYSRAM_DRIVER_MANAGED,
  IORESOURCE_SYSTEM_RAM,
  IORESOURCE_WINDOW,
} from "./flags.ts";
import type { Resource } from "./resource.ts";

/** Flags and descriptor of a resource. */
export interface ResourceKind {
  readonly flags: number;
  /** When absent the parent's applies, as with requestRegion(). */
  readonly desc?: IoresDesc;
}

const BUSY_RAM = IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY;
const BUSY_MEM = IORESOURCE_MEM | IORESOURCE_BUSY;

/** The first match counts. */
const KINDS: readonly (readonly [name: RegExp, flags: number, desc?: IoresDesc])[] = [
  [/^System RAM$/, BUSY_RAM],
  [/^System RAM \(/, BUSY_RAM | IORESOURCE_SYSRAM_DRIVER_MANAGED],
  [/^Kernel (code|rodata|data|bss)$/, BUSY_RAM, IORES_DESC_NONE],
  [/^Crash kernel$/, BUSY_RAM, IORES_DESC_CRASH_KERNEL],
  [/^ACPI Tables$/, BUSY_MEM, IORES_DESC_ACPI_TABLES],
  [/^ACPI Non-volatile Storage$/, BUSY_MEM, IORES_DESC_ACPI_NV_STORAGE],
  [/^Reserved$/, IORESOURCE_MEM, IORES_DESC_RESERVED],
  [/^Soft Reserved$/, IORESOURCE_MEM, IORES_DESC_SOFT_RESERVED],
  [/^Persistent Memory$/, IORESOURCE_MEM, IORES_DESC_PERSISTENT_MEMORY],
  [/^Persistent Memory \(legacy\)$/, IORESOURCE_MEM, IORES_DESC_PERSISTENT_MEMORY_LEGACY],
  [/^CXL Window /, IORESOURCE_MEM, IORES_DESC_CXL],
  [/^(Video|System|Adapter|Extension) ROM$/, BUSY_MEM | IORESOURCE_READONLY, IORES_DESC_NONE],
  [/^PCI (MMCONFIG|ECAM) /, BUSY_MEM, IORES_DESC_NONE],
  [/^PCI Bus /, IORESOURCE_MEM | IORESOURCE_WINDOW, IORES_DESC_NONE],
  [/^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/, IORESOURCE_MEM, IORES_DESC_NONE],
  [/^pnp /, IORESOURCE_MEM],
  [/^HPET /, IORESOURCE_MEM, IORES_DESC_NONE],
];

/** Flags and descriptor for a well-known name, undefined for any other. */
export function kindOfName(name: string): ResourceKind | undefined {
  const known = KINDS.find(([pattern]) => pattern.test(name));
  if (!known) return undefined;
  const [, flags, desc] = known;
  return desc === undefined ? { flags } : { flags, desc };
}

/**
 * Flags of a resource without a well-known name, from its children. A resource without children is taken for a
 * driver's region, which is busy. A resource with children is not busy: regions were requested inside it. When a
 * child is System RAM the resource is marked as System RAM too, as dax/kmem marks a device's range.
 */
export function kindOfParent(children: readonly Resource[]): ResourceKind {
  if (children.length === 0) return { flags: BUSY_MEM };
  const holdsRam = children.some((child) => (child.flags & IORESOURCE_SYSTEM_RAM) === IORESOURCE_SYSTEM_RAM);
  return { flags: holdsRam ? IORESOURCE_SYSTEM_RAM : IORESOURCE_MEM };
}
