// Terminal sessions in READMEs are equal to the program's output.
import { describe, expect, test } from "vitest";
import { type ConsoleBlock, consoleBlocks, isShown, runBlock } from "../src/console-blocks.ts";
import { exists, packages, readText } from "../src/workspace.ts";

const READMES = [
  "README.md",
  "docs/architecture.md",
  ...packages().map(({ folder }) => `${folder}/README.md`),
];
const BLOCKS = READMES.filter(exists).flatMap((readme) => consoleBlocks(readme));

/** Commands of a block that print something else than is shown, with what they print. */
function differing(block: ConsoleBlock): string[] {
  const printed = runBlock(block);
  return block.steps.flatMap(({ command, shown }, index) => {
    const lines = printed[index] ?? [];
    return isShown(shown, lines) ? [] : [`${command}\n${lines.join("\n")}`];
  });
}

test.each(BLOCKS.map((block) => [block.readme, block.line, block] as const))(
  "%s prints from line %i on what it shows",
  (_readme, _line, block) => {
    expect(differing(block)).toEqual([]);
  },
);

test.each(["README.md", "apps/machine/README.md"])(
  "%s shows sessions, and all that it shows is tried",
  (readme) => {
    expect(BLOCKS.some((block) => block.readme === readme)).toBe(true);
    const others = [...readText(readme).matchAll(/^```(\w*)\n(.*?)^```$/gms)].filter(
      ([, language, inside = ""]) => language !== "console" && /^[$#] /m.test(inside),
    );
    expect(others).toEqual([]);
  },
);

describe("a README that shows what isn't printed is found", () => {
  const machine = "apps/machine/fixtures/machines/ram-ends-at-4g.yaml";
  const block = (inside: string): ConsoleBlock[] =>
    consoleBlocks("README.md", `[a machine](${machine})\n\`\`\`console\n${inside}\`\`\`\n`);

  test.each([
    ["another number", "$ cat /sys/devices/system/memory/memory8/state\noffline\n"],
    ["a line too few", "$ printf 'a\\nb\\n'\na\n"],
    ["a line too many", "$ printf 'a\\n'\na\nb\n"],
    ["no error", "$ cat /nothing\n"],
    ["what is left out where nothing is", "$ printf 'ab\\n'\na…c\n"],
  ])("%s", (_what, inside) => {
    expect(block(inside).flatMap(differing)).toHaveLength(1);
  });

  test.each([
    ["lines that are left out", "$ printf 'a\\nb\\nc\\n'\na\n…\n"],
    ["a part of a line that is left out", "$ printf 'a b c\\n'\na … c\n"],
    ["a state", "# cd /sys/devices/system/memory\n# cat memory8/state\nonline\n"],
  ])("but not %s", (_what, inside) => {
    expect(block(inside).flatMap(differing)).toEqual([]);
  });
});
