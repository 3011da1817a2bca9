// mmap(): checks of the request, the search for an address in unmapped-area.ts, and the mapping of the region in
// mmap-region.ts. MAP_POPULATE and locked mappings are faulted in at the end. Kernel counterpart: do_mmap() in
// mm/mmap.c.
import {
  alignDown,
  alignUp,
  isAligned,
  KernelError,
  PAGE_SIZE,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { FileObject } from "../file/file-object.ts";
import { checkLock, checkMapCount, checkMayLock } from "./commit.ts";
import { LEGACY_MAP_MASK, MAP_TYPE, MapFlag } from "./map-flags.ts";
import { mmapRegion } from "./mmap-region.ts";
import { mmPopulateQuietly } from "./populate.ts";
import { getUnmappedArea } from "./unmapped-area.ts";
import { Prot, VmFlag } from "./vm-flags.ts";

/** Arguments of mmap(). */
export interface MmapRequest {
  /** The preferred address, or with MAP_FIXED the exact one. Without it the kernel chooses. */
  readonly address?: number;
  /** Bytes; the last page counts whole. */
  readonly length: number;
  /** Prot bits. */
  readonly prot: number;
  /** MapFlag bits: SHARED, SHARED_VALIDATE or PRIVATE, and others. */
  readonly flags: number;
  /** The file to map; absent for anonymous memory. */
  readonly file?: FileObject;
  /** Offset in the file in bytes, a multiple of the page size. */
  readonly offset?: number;
}

const MAY_ALL = VmFlag.MAYREAD | VmFlag.MAYWRITE | VmFlag.MAYEXEC;

/**
 * Maps memory.
 *
 * @returns the start address of the mapping
 * @throws KernelError EINVAL for a request that contradicts itself; ENOMEM when no gap is large enough, or RLIMIT_AS,
 *   RLIMIT_DATA, vm.max_map_count or overcommit is exceeded; EAGAIN over RLIMIT_MEMLOCK; EEXIST for
 *   MAP_FIXED_NOREPLACE over a mapping; EACCES and EPERM where the file or the administrator forbids the mapping;
 *   EOPNOTSUPP for flags that the file doesn't support; and the errors of the file's mmap()
 * @see mmap(2)
 */
export function* mmap(mm: MmStruct, request: MmapRequest): Sleeps<VirtAddr> {
  const { flags } = request;
  yield* mm.mmapLock.downWrite();
  let address: VirtAddr;
  let locked: boolean;
  try {
    address = yield* doMmap(mm, request);
    locked = ((mm.vmas.at(address)?.flags ?? 0) & VmFlag.LOCKED) !== 0;
  } finally {
    mm.mmapLock.upWrite();
  }
  // A page that can't be populated is no error of mmap(): the first access to it fails instead.
  if (locked || (flags & (MapFlag.POPULATE | MapFlag.NONBLOCK)) === MapFlag.POPULATE)
    yield* mmPopulateQuietly(mm, address, alignUp(request.length, PAGE_SIZE));
  return address;
}

/** mmap() without the mmap lock, which the caller holds for writing, and without populating. @see do_mmap() */
function* doMmap(mm: MmStruct, request: MmapRequest): Sleeps<VirtAddr> {
  checkRequest(request);
  if ((request.flags & MapFlag.HUGETLB) === 0) return yield* mapFileOrMemory(mm, request);
  const { file, length } = mm.vm.hugetlb.fileSetup(request.length, request.flags);
  try {
    return yield* mapFileOrMemory(mm, { ...request, file, length });
  } finally {
    // The mapping holds the only reference to the file.
    yield* file.close();
  }
}

function* mapFileOrMemory(mm: MmStruct, request: MmapRequest): Sleeps<VirtAddr> {
  const { file, prot, offset = 0 } = request;
  const flags =
    (request.flags & MapFlag.FIXED_NOREPLACE) === 0 ? request.flags : request.flags | MapFlag.FIXED;
  const length = alignUp(request.length, PAGE_SIZE);
  const pgoff = offset / PAGE_SIZE;
  checkMapCount(mm, mm.vm.tunables.maxMapCount + 1);
  const wish = (flags & MapFlag.FIXED) === 0 ? roundHint(mm, request.address ?? 0) : (request.address ?? 0);
  const address = getUnmappedArea(mm, { address: wish, length, file, pgoff, flags });
  if ((flags & MapFlag.FIXED_NOREPLACE) !== 0) refuseToReplace(mm, address, length);
  const bits = vmFlagsOf(prot, flags) | mm.defFlags | MAY_ALL;
  if ((flags & MapFlag.LOCKED) !== 0) checkMayLock(mm);
  checkLock(mm, bits, length / PAGE_SIZE);
  const type = flags & MAP_TYPE;
  const typed = file ? fileFlags(file, prot, flags, bits) : anonymousFlags(type, bits);
  return yield* mmapRegion(mm, {
    start: address,
    end: (address + length) as VirtAddr,
    flags: typed | noreserve(mm, typed, flags),
    file,
    pgoff: file ? pgoff : type === MapFlag.PRIVATE ? address / PAGE_SIZE : 0,
  });
}

function checkRequest({ length, offset = 0, flags, file }: MmapRequest): void {
  if (!isAligned(offset, PAGE_SIZE))
    throw new KernelError("EINVAL", `offset 0x${offset.toString(16)} is not the beginning of a page`);
  if ((flags & MapFlag.HUGETLB) !== 0 && file)
    throw new KernelError("EINVAL", `${file.path} is no file of hugetlbfs: leave out MAP_HUGETLB`);
  if (length <= 0) throw new KernelError("EINVAL", "a mapping has at least one byte");
}

/** A hint below vm.mmap_min_addr becomes the lowest address that may be mapped. @see round_hint_to_min() */
function roundHint(mm: MmStruct, wish: number): number {
  const address = alignDown(wish, PAGE_SIZE);
  const { mmapMinAddr } = mm.vm.tunables;
  return address !== 0 && address < mmapMinAddr ? alignUp(mmapMinAddr, PAGE_SIZE) : address;
}

function refuseToReplace(mm: MmStruct, address: VirtAddr, length: number): void {
  const there = mm.vmas.findFrom(address);
  if (!there || there.start >= address + length) return;
  throw new KernelError(
    "EEXIST",
    `0x${there.start.toString(16)}-0x${there.end.toString(16)} is mapped: use MAP_FIXED to replace it`,
  );
}

/** @see calc_vm_prot_bits(), calc_vm_flag_bits() */
function vmFlagsOf(prot: number, flags: number): number {
  return (
    protFlags(prot) |
    ((flags & MapFlag.GROWSDOWN) === 0 ? 0 : VmFlag.GROWSDOWN) |
    ((flags & MapFlag.LOCKED) === 0 ? 0 : VmFlag.LOCKED)
  );
}

/** VmFlag bits of Prot bits. @see calc_vm_prot_bits() */
export function protFlags(prot: number): number {
  return (
    ((prot & Prot.READ) === 0 ? 0 : VmFlag.READ) |
    ((prot & Prot.WRITE) === 0 ? 0 : VmFlag.WRITE) |
    ((prot & Prot.EXEC) === 0 ? 0 : VmFlag.EXEC)
  );
}

function fileFlags(file: FileObject, prot: number, flags: number, asked: number): number {
  const type = flags & MAP_TYPE;
  // The hugetlb pool reserves its own pages, so HUGETLB must be set before the accounting.
  const bits = asked | ((file.vmFlags ?? 0) & VmFlag.HUGETLB);
  if (type === MapFlag.SHARED_VALIDATE) checkFileKnows(file, flags);
  else if (type !== MapFlag.SHARED && type !== MapFlag.PRIVATE) throw noType(type);
  if ((bits & VmFlag.GROWSDOWN) !== 0)
    throw new KernelError("EINVAL", `a mapping of ${file.path} can't grow: leave out MAP_GROWSDOWN`);
  if (type === MapFlag.PRIVATE) return bits;
  if (file.writable) return bits | VmFlag.SHARED | VmFlag.MAYSHARE;
  if ((prot & Prot.WRITE) !== 0)
    throw new KernelError("EACCES", `${file.path} isn't open for writing: open it so, or map it MAP_PRIVATE`);
  // A shared mapping of a read-only file can never be written, so it is treated as private.
  return (bits | VmFlag.MAYSHARE) & ~VmFlag.MAYWRITE;
}

/** MAP_SHARED_VALIDATE refuses unsupported flags. MAP_SHARED ignores them. @see 1c9725974074 */
function checkFileKnows({ path, mmapSupportedFlags = 0 }: FileObject, flags: number): void {
  if ((flags & ~(LEGACY_MAP_MASK | mmapSupportedFlags)) === 0) return;
  throw new KernelError(
    "EOPNOTSUPP",
    `${path} can't be mapped with MAP_SYNC: it is not on persistent memory`,
  );
}

function anonymousFlags(type: number, bits: number): number {
  if (type === MapFlag.PRIVATE) return bits;
  if (type !== MapFlag.SHARED) throw noType(type);
  if ((bits & VmFlag.GROWSDOWN) !== 0)
    throw new KernelError("EINVAL", "shared memory can't grow: leave out MAP_GROWSDOWN or use MAP_PRIVATE");
  return bits | VmFlag.SHARED | VmFlag.MAYSHARE;
}

function noType(type: number): KernelError {
  return new KernelError(
    "EINVAL",
    `mapping type ${type} is none of MAP_SHARED, MAP_PRIVATE and, for files, MAP_SHARED_VALIDATE`,
  );
}

/** MAP_NORESERVE has no effect with vm.overcommit_memory 2, except for huge pages of the pool. */
function noreserve(mm: MmStruct, bits: number, flags: number): number {
  const honoured = mm.vm.tunables.overcommitMemory !== 2 || (bits & VmFlag.HUGETLB) !== 0;
  return (flags & MapFlag.NORESERVE) !== 0 && honoured ? VmFlag.NORESERVE : 0;
}
