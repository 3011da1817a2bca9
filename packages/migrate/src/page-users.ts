// The users of a page that should have moved or been freed, described for the person who asked: the processes that map
// it, and whether it is pinned, locked or under writeback. The kernel has no counterpart; it prints the page with
// dump_page().
import type { Page } from "@hetmem/kernel";
import type { MmStruct, Process, Vm } from "@hetmem/mm";
import { pageMaybeDmaPinned } from "@hetmem/mm/faultin";
import { PageFlag } from "@hetmem/page";
import { holdsPage, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";

/** Processes named in a sentence, at most. */
const NAMED_MAX = 4;

/**
 * Describes the users of a page, as the rest of a sentence: `, pinned by process 12 (qemu)`.
 *
 * @returns "" if no user is known
 */
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

/** The processes with an entry for the page, present or not. */
function* processesThatMap(vm: Vm, page: Page): Generator<Process, void, void> {
  for (const process of vm.processes) if (process.mm && mapsPage(process.mm, page)) yield process;
}

/** Whether an address space has an entry for the page. Looks at every entry. */
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

/** Whether the value of an entry is a page. */
function isOfPage(flags: number): boolean {
  return (flags & (Pte.present | Pte.special)) === Pte.present || holdsPage(flags);
}
