// The cost of struct pages. Linux keeps 64 bytes for each 4 KiB page, allocated by the whole section, so 1.56 % of all memory,
// whether it is used or not. hetmem's own memmap has 32 bytes a page, for touched sections only.
import { formatBytes, PAGE_SIZE } from "@hetmem/kernel";
import { MEMMAP_PAGE_BYTES, STRUCT_PAGE_BYTES } from "@hetmem/page";
import type { Paint } from "./paint.ts";
import { formatShare } from "./size.ts";
import { tableLines } from "./table.ts";
import type { MachineView } from "./view.ts";
import { wrap } from "./wrap.ts";

/** One line for each node with memory, and the cost of one more memory block. @param width columns of the terminal */
export function memmapPriceLines(view: MachineView, width: number, paint: Paint): string[] {
  const rows = view.memmap.map((price) => [
    `${price.node}`,
    `${price.structPages}`,
    formatBytes(price.linuxBytes),
    formatShare(price.share),
    formatBytes(price.hetmemBytes),
  ]);
  const linux = view.memmap.reduce((bytes, price) => bytes + price.linuxBytes, 0);
  const hetmem = view.memmap.reduce((bytes, price) => bytes + price.hetmemBytes, 0);
  const pages = view.memmap.reduce((sum, price) => sum + price.structPages, 0);
  const total = [
    "total",
    `${pages}`,
    formatBytes(linux),
    formatShare(linux / view.ramBytes),
    formatBytes(hetmem),
  ];
  const columns = [
    { title: "node" },
    { title: "struct pages", align: "right" },
    { title: `Linux (${STRUCT_PAGE_BYTES} B each)`, align: "right" },
    { title: "of its RAM", align: "right" },
    { title: `hetmem (${MEMMAP_PAGE_BYTES} B, once touched)`, align: "right", spare: 1 },
  ] as const;
  const block = (view.blockSize / PAGE_SIZE) * STRUCT_PAGE_BYTES;
  const table = tableLines(columns, [...rows, total], width, (text, row) =>
    row === -1 ? paint.dim(text) : row === rows.length ? paint.bold(text) : text,
  );
  const sentences = [
    ...view.memmapElsewhere.map(
      ({ of, payer, bytes }) => `Node ${payer}'s RAM holds those of ${of}: ${formatBytes(bytes)}.`,
    ),
    view.selfHosted
      ? `Each further memory block of ${formatBytes(view.blockSize)} keeps its struct pages itself (memmap_on_memory): ${formatBytes(view.blockSize - block)} of it can be used.`
      : `Each further memory block of ${formatBytes(view.blockSize)} costs ${formatBytes(block)} of what is there already, before anybody uses it.`,
  ];
  return [...table, ...sentences.flatMap((sentence) => wrap(sentence, width, "  "))];
}
