// The table of names is drawn from doc comments.
import { join } from "node:path";
import { expect, test } from "vitest";
import { kernelNamesOf } from "../../src/reference/counterparts.ts";
import { namesPage } from "../../src/reference/names-page.ts";
import { ROOT } from "../../src/workspace.ts";

test("docs/names.md leads from the kernel's names to ours", async () => {
  const hint = "a @see tag has changed; `npm run reference` writes the page anew";
  await expect(namesPage(), hint).toMatchFileSnapshot(join(ROOT, "docs/names.md"));
});

test.each([
  ["* Puts it. @see put_page() ", [["put_page()", undefined]]],
  [
    "*\n * @throws KernelError\n * @see do_wp_page(), wp_page_copy() in\n *   mm/memory.c\n",
    [
      ["do_wp_page()", "mm/memory.c"],
      ["wp_page_copy()", "mm/memory.c"],
    ],
  ],
  [
    "* @see struct dev_pagemap in include/linux/memremap.h: one for each range ",
    [["struct dev_pagemap", "include/linux/memremap.h"]],
  ],
  [
    "* @see ZONE_DEVICE: since 4.3; enum zone_type ",
    [
      ["ZONE_DEVICE", undefined],
      ["enum zone_type", undefined],
    ],
  ],
  [
    "* @see memory_files[] and swap_files[] ",
    [
      ["memory_files[]", undefined],
      ["swap_files[]", undefined],
    ],
  ],
  ['* @see 15d36fecd0bd: one pagemap, one section @see f1dd2cd13c4b ("mm, memory_hotplug: do not") ', []],
  ['* @see "mm, devm_memremap_pages: fix shutdown handling" (2018) @see madvise(2) ', []],
  ["* Reads what put_page() wrote. ", []],
])("%j names %j", (comment, expected) => {
  expect(kernelNamesOf(comment).map(({ kernel, file }) => [kernel, file])).toEqual(expected);
});
