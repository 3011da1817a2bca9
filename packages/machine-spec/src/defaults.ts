// Values of a machine whose file doesn't give them, or whose host doesn't show them.
import { MiB } from "@hetmem/kernel";
import type { ProfileName } from "./machine-spec.ts";
import "./version.ts";

export const DEFAULT_PROFILE: ProfileName = "v5.1";
/** Bytes of a memory block: a section. @see MIN_MEMORY_BLOCK_SIZE in include/linux/memory.h */
export const DEFAULT_BLOCK_SIZE: number = 128 * MiB;
export const DEFAULT_PHYSICAL_BITS = 46;
/** Bits of physical memory that four levels of page tables map. @see MAX_PHYSMEM_BITS in arch/x86/include/asm/sparsemem.h */
export const DEFAULT_DIRECT_MAP_BITS = 46;
