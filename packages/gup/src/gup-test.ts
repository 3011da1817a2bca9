// A file in debugfs that gets or pins pages of a process, for people who want to see the effect of a pin without
// writing a driver.
// Kernel counterpart: mm/gup_test.c; mm/gup_benchmark.c before 5.11.
import { KernelBug, KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct, Vm } from "@hetmem/mm";
import { Foll, isLongtermPinnable, pageMaybeDmaPinned } from "@hetmem/mm/faultin";
import { describePage, dumpPage } from "@hetmem/page";
import type { AttributeTable } from "@hetmem/vfs";
import { gupFast } from "./fast.ts";
import { type GupTestRequest, type GupTestResult, parseRequest, resultText } from "./gup-test-request.ts";
import { gup } from "./gup.ts";
import { putUserPages, unpinUserPages } from "./unpin.ts";

/** The call that an operation makes. */
interface Operation {
  readonly pin: boolean;
  readonly fast?: boolean;
  readonly longterm?: boolean;
  readonly dump?: boolean;
}

/** Name of the file, and its operations: a policy of the kernel release. */
export interface GupTestPolicy {
  readonly file: string;
  readonly operations: Readonly<Record<string, Operation>>;
}

/** The file of 5.11 and later. @see 9c84f229268f */
export const gupTest: GupTestPolicy = {
  file: "gup_test",
  operations: {
    GUP_FAST_BENCHMARK: { pin: false, fast: true },
    PIN_FAST_BENCHMARK: { pin: true, fast: true },
    PIN_LONGTERM_BENCHMARK: { pin: true, longterm: true },
    GUP_BASIC_TEST: { pin: false },
    PIN_BASIC_TEST: { pin: true },
    DUMP_USER_PAGES_TEST: { pin: false, dump: true },
  },
};

/**
 * The file of 4.15 to 5.10, with the operations of all those releases. GUP_LONGTERM_BENCHMARK takes a longterm pin
 * here, in place of a longterm reference.
 */
export const gupBenchmark: GupTestPolicy = {
  file: "gup_benchmark",
  operations: {
    GUP_FAST_BENCHMARK: { pin: false, fast: true },
    GUP_LONGTERM_BENCHMARK: { pin: true, longterm: true },
    GUP_BENCHMARK: { pin: false },
    PIN_FAST_BENCHMARK: { pin: true, fast: true },
    PIN_BENCHMARK: { pin: true },
    PIN_LONGTERM_BENCHMARK: { pin: true, longterm: true },
  },
};

/** Bit of test_flags: DUMP_USER_PAGES_TEST pins the pages. @see GUP_TEST_FLAG_DUMP_PAGES_USE_PIN */
const DUMP_PAGES_USE_PIN = 1;

/**
 * The file /sys/kernel/debug/gup_test, driven by ioctls in the kernel and by text here. A write such as
 *
 * PIN_FAST_BENCHMARK pid=2 addr=0x7f0000000000 size=0x100000 nr_pages_per_call=512 gup_flags=0x1
 *
 * runs an operation on the address space of a process. The operation gets the pages of [addr, addr + size) in calls of
 * nr_pages_per_call pages (default 1), with gup_flags (default 0; FOLL_WRITE is 1). At the end, pins are checked to be
 * counted as pins, and all pages are dropped. DUMP_USER_PAGES_TEST also prints the pages of `which_pages=1,19` (8 at
 * most, counted from 1) to the kernel log, and pins them if test_flags=1. A read shows the result of the last
 * operation, one field of the ioctl's struct a line; `size` is the number of bytes that were got. Times are simulated,
 * and count waits alone.
 *
 * @throws KernelError EINVAL for a write of another form, ESRCH if there is no such process
 */
export function gupTestTable(vm: Vm, policy: GupTestPolicy): AttributeTable {
  let last: GupTestResult | undefined;
  return {
    root: "/sys/kernel/debug",
    files: {
      [policy.file]: {
        mode: 0o600,
        show: () => (last ? resultText(last) : ""),
        *store(_params, text) {
          last = yield* gupTestCommand(vm, policy, text);
        },
      },
    },
  };
}

/** Runs one operation. @see gup_test_ioctl() */
function* gupTestCommand(vm: Vm, { file, operations }: GupTestPolicy, text: string): Sleeps<GupTestResult> {
  const [name, request] = parseRequest(text);
  const operation = operations[name];
  if (operation === undefined)
    throw new KernelError(
      "EINVAL",
      `${file} has no operation "${name}": ${Object.keys(operations).join(", ")}`,
    );
  const { mm } = vm.processes.get(request.pid);
  if (mm === undefined) throw new KernelError("ESRCH", `process ${request.pid} has exited`);
  if (operation.fast === true) return { ...(yield* runTest(mm, operation, request)), operation: name };
  yield* mm.mmapLock.downRead();
  try {
    return { ...(yield* runTest(mm, operation, request)), operation: name };
  } finally {
    mm.mmapLock.upRead();
  }
}

/** Gets pages, checks and dumps them, and drops them. @see __gup_test_ioctl() */
function* runTest(
  mm: MmStruct,
  operation: Operation,
  request: GupTestRequest,
): Sleeps<Omit<GupTestResult, "operation">> {
  const { vm } = mm;
  const { clock } = vm.kernel;
  const pin = operation.pin || (operation.dump === true && (request.testFlags & DUMP_PAGES_USE_PIN) !== 0);
  const began = clock.nowNs;
  const [pages, size] = yield* takePages(mm, operation, request, pin ? Foll.PIN : Foll.GET);
  const took = clock.nowNs - began;
  if (operation.pin) verifyPinned(vm, pages, operation.longterm === true);
  const whichPages = operation.dump === true ? dumpPages(vm, pages, request) : request.whichPages;
  const givenBack = clock.nowNs;
  if (pin) unpinUserPages(vm, pages);
  else putUserPages(vm, pages);
  return {
    ...request,
    size,
    whichPages,
    getDeltaUsec: Math.floor(took / 1000),
    putDeltaUsec: Math.floor((clock.nowNs - givenBack) / 1000),
  };
}

/**
 * Makes calls until one returns fewer pages than it was asked for.
 *
 * @returns the pages, and the bytes that the calls asked for
 */
function* takePages(
  mm: MmStruct,
  operation: Operation,
  { addr, size, nrPagesPerCall, gupFlags }: GupTestRequest,
  kind: number,
): Sleeps<readonly [pages: Page[], size: number]> {
  const pages: Page[] = [];
  const end = addr + size;
  let at: number = addr;
  let wanted = nrPagesPerCall;
  while (at < end && wanted === nrPagesPerCall) {
    const next = Math.min(at + wanted * 4096, end);
    wanted = Math.floor((next - at) / 4096);
    const got = yield* takeOnce(mm, operation, at as VirtAddr, wanted, gupFlags, kind);
    if (got.length === 0) break;
    pages.push(...got);
    wanted = got.length;
    at = next;
  }
  return [pages, at - addr];
}

/** Makes one call. @returns no pages if the call fails */
function* takeOnce(
  mm: MmStruct,
  { fast, longterm }: Operation,
  at: VirtAddr,
  count: number,
  gupFlags: number,
  kind: number,
): Sleeps<readonly Page[]> {
  // The operation chooses between a reference and a pin, and only a pin may be longterm. @see is_valid_gup_flags()
  const refused = kind === Foll.GET ? Foll.PIN | Foll.LONGTERM : Foll.GET;
  if ((gupFlags & refused) !== 0) return [];
  const foll = gupFlags | kind | (longterm === true ? Foll.LONGTERM : 0);
  try {
    if (fast !== true) return yield* gup(mm, at, count, kind === Foll.GET ? foll | Foll.TOUCH : foll);
    const into = new Int32Array(count);
    const got = yield* gupFast(mm, at, count, foll, into);
    return Array.from(into.subarray(0, got)) as Page[];
  } catch (error) {
    if (error instanceof KernelError) return [];
    throw error;
  }
}

/**
 * Checks the pins of all pages.
 *
 * @throws KernelBug for a page that isn't pinned, or one in longterm that must not be pinned so
 * @see verify_dma_pinned()
 */
function verifyPinned(vm: Vm, pages: readonly Page[], longterm: boolean): void {
  for (const [i, page] of pages.entries()) {
    if (page === vm.zeroPage) continue;
    if (!pageMaybeDmaPinned(vm, page))
      throw new KernelBug(`pages[${i}] is NOT dma-pinned: ${describePage(vm.memmap, page)}`);
    if (longterm && !isLongtermPinnable(vm, page))
      throw new KernelBug(`pages[${i}] is NOT pinnable but pinned: ${describePage(vm.memmap, page)}`);
  }
}

/**
 * Prints pages to the kernel log.
 *
 * @returns the numbers asked for, with 0 in place of those above the number of pages
 * @see dump_pages_test()
 */
function dumpPages(vm: Vm, pages: readonly Page[], { addr, whichPages }: GupTestRequest): readonly number[] {
  const { log } = vm.kernel;
  const there = whichPages.map((which, i) => {
    if (which <= pages.length) return which;
    log.printk(4, `ZEROING due to out of range: .which_pages[${i}]: ${which}`);
    return 0;
  });
  for (const which of there) {
    const page = pages[which - 1];
    if (page === undefined) continue;
    log.printk(6, `---- page #${which - 1}, starting from user virt addr: 0x${addr.toString(16)}`);
    dumpPage(log, vm.memmap, page, "gup_test: dump_pages() test");
  }
  return there;
}
