// A machine of mm alone: what needs a package above fails with the errno of a kernel that was built without it, and the
// sentence names the package that has it.
import { createKernel, KernelError, MiB, nodeId, physAddr, run, virtAddr } from "@hetmem/kernel";
import { madvise } from "@hetmem/madvise";
import { bootMemory } from "@hetmem/zone";
import { expect, test } from "vitest";
import {
  allocMm,
  Madv,
  MapFlag,
  type MmStruct,
  mmap,
  type Process,
  Prot,
  readUser,
  touchUser,
  Vm,
} from "../src/index.ts";

const SIZE = 16 * MiB;
const PROT = Prot.READ | Prot.WRITE;
const PRIVATE = MapFlag.PRIVATE | MapFlag.ANONYMOUS;

function bareMachine(): { vm: Vm; mm: MmStruct; process: Process } {
  const memory = bootMemory(createKernel(), {
    nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(SIZE) }], cpus: [0] }],
    distances: [[10]],
    physicalBits: 46,
    maxPages: SIZE / 4096,
    reserved: [],
  });
  const vm = new Vm(memory);
  const mm = allocMm(vm, nodeId(0));
  if (!mm) throw new Error("no memory for a page table");
  return { vm, mm, process: vm.processes.add("app", mm, undefined) };
}

function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof KernelError) return error.message;
    throw error;
  }
  throw new Error("the call succeeded");
}

test("shared memory, huge pages, collapse and bad memory are refused with the package that has them", () => {
  const { mm } = bareMachine();
  const map = (flags: number): unknown => run(mmap(mm, { length: 2 * MiB, prot: PROT, flags }));
  expect(refusal(() => map(MapFlag.SHARED | MapFlag.ANONYMOUS))).toMatch(/^ENODEV: .*@hetmem\/page-cache$/);
  expect(refusal(() => map(PRIVATE | MapFlag.HUGETLB))).toMatch(/^ENOSYS: .*@hetmem\/hugetlb$/);
  const address = run(mmap(mm, { length: 4 * MiB, prot: PROT, flags: PRIVATE }));
  const advise = (advice: number): void => run(madvise(mm, address, 2 * MiB, advice));
  expect(refusal(() => advise(Madv.COLLAPSE))).toMatch(/^EINVAL: .*@hetmem\/khugepaged$/);
  expect(refusal(() => advise(Madv.HWPOISON))).toMatch(/^EINVAL: .*MemoryFailure of @hetmem\/zone$/);
  expect(refusal(() => advise(Madv.SOFT_OFFLINE))).toMatch(/^EINVAL: .*MemoryFailure of @hetmem\/zone$/);
});

test("pages that can't be swapped stay, as on a machine without swap", () => {
  const { vm, mm, process } = bareMachine();
  const address = run(mmap(mm, { length: 4096, prot: PROT, flags: PRIVATE }));
  run(touchUser(process, address));
  run(madvise(mm, address, 4096, Madv.PAGEOUT));
  expect([mm.rssPages, vm.swap.totalPages]).toEqual([1, 0]);
});

test("a process that runs out of memory is killed, and the reason names the package that reclaims", () => {
  const { mm, process } = bareMachine();
  const flags = PRIVATE | MapFlag.NORESERVE;
  const address = run(mmap(mm, { length: 2 * SIZE, prot: PROT, flags }));
  let touched = 0;
  while (!process.killed && touched < (2 * SIZE) / 4096)
    run(touchUser(process, virtAddr(address + 4096 * touched++)));
  expect(process.killed).toBe(true);
  expect(process.signals[0]).toMatchObject({ signo: "SIGKILL" });
  expect(process.signals[0]?.reason).toMatch(/reclaimParts of @hetmem\/reclaim$/);
  expect(run(readUser(process, address, new Uint8Array(1)))?.signo).toBe("SIGSEGV");
});
