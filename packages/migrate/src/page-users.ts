// Who holds a page that should have gone, in words for the person who asked: the processes that map it, and what holds
// more references than they do. The kernel leaves this to whoever reads dump_page().
import type { Page } from "@hetmem/kernel";
import type { MmStruct, Process, Vm } from "@hetmem/mm";
import { pageMaybeDmaPinned } from "@hetmem/mm/faultin";
import { PageFlag } from "@hetmem/page";
import { holdsPage, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";

/** Processes that a sentence names. */
const NAMED_MAX = 4;

/** The rest of a sentence: `, pinned by process 12 (qemu)`. Empty when nobody is known. */
export function describeUsers(vm: Vm, page: Page): string {
  const { memmap } = vm;
  const head = memmap.compoundHead(page);
  const users = [...processesThatMap(vm, page)];
  const names = users.slice(0, NAMED_MAX).map(({ pid, comm }) => `process ${pid} (${comm})`);
  if (users.length > NAMED_MAX) names.push(`${users.length - NAMED_MAX} more`);
  const by = names.length > 0 ? ` by ${names.join(", ")}` : "";
  if (pageMaybeDmaPinned(vm, head)) return `, pinned${by}`;
  if (memmap.test(head, PageFlag.writeback)) return ", being written back";
  if (memmap.test(head, PageFlag.locked)) return `, locked${by}`;
  return by === "" ? "" : `, used${by}`;
}

/** The processes one of whose entries is the page, present or not. */
export function* processesThatMap(vm: Vm, page: Page): Generator<Process, void, void> {
  for (const process of vm.processes) if (process.mm && mapsPage(process.mm, page)) yield process;
}

/** Looks at every entry of an address space. */
function mapsPage({ pageTable, vm, vmas }: MmStruct, page: Page): boolean {
  const head = vm.memmap.compoundHead(page);
  for (const { start, end } of vmas) {
    for (let at = pageTable.nextPopulated(start, end); at < end; at = pageTable.nextPopulated(at, end)) {
      const region = at - (at % PMD_SIZE);
      const stop = Math.min(end, region + PMD_SIZE) as typeof end;
      const pmd = pageTable.findPmd(at);
      const table = pageTable.tableUnder(pmd);
      if (table === NO_ENTRY) {
        if (pageTable.value(pmd) === head) return true;
      } else {
        for (let entry = table + (at - region) / 4096; entry < table + (stop - region) / 4096; entry++) {
          if (pageTable.value(entry) === page && isOfPage(pageTable.flags(entry))) return true;
        }
      }
      at = stop;
    }
  }
  return false;
}

function isOfPage(flags: number): boolean {
  return (flags & (Pte.present | Pte.special)) === Pte.present || holdsPage(flags);
}
