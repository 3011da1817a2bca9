// The same commands under each profile: what a release answers that another doesn't.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { run } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml, type ProfileName } from "@hetmem/machine-spec";
import { Shell } from "@hetmem/shell";
import { PROGRAMS } from "../src/programs/index.ts";

const FILE = fileURLToPath(new URL("../fixtures/machines/ram-ends-at-4g.yaml", import.meta.url));
const MEMORY = "/sys/devices/system/memory";

/** Types a script into a fresh machine whose RAM ends at 4 GiB, and returns what it printed. */
function type(profile: ProfileName, script: string): string {
  const shell = new Shell(createMachine(machineOfYaml(readFileSync(FILE, "utf8"), FILE, profile)), PROGRAMS);
  return run(shell.execute(script)).output;
}

/** Adds three blocks, as the commit message of the 2017 rewrite does. */
const PROBE = `
echo 0x100000000 > ${MEMORY}/probe
echo $((0x100000000+(128<<20))) > ${MEMORY}/probe
echo $((0x100000000+2*(128<<20))) > ${MEMORY}/probe
`;
const VALID_ZONES = `grep . ${MEMORY}/memory3?/valid_zones | grep -E "3[234]/"\n`;

function zones(first: string, second: string, third: string): string {
  return [first, second, third]
    .map((names, i) => `${MEMORY}/memory${32 + i}/valid_zones:${names}\n`)
    .join("");
}

describe.each(["v4.14", "v5.1", "v6.1"] as const)(
  "the transcript of the 2017 rewrite under %s",
  (profile) => {
    test("three added blocks may become Normal or Movable", () => {
      expect(type(profile, PROBE + VALID_ZONES)).toBe(
        zones("Normal Movable", "Normal Movable", "Normal Movable"),
      );
    });

    test("once the last one is Movable, the others keep their choice", () => {
      const script = `${PROBE}echo online_movable > ${MEMORY}/memory34/state\n${VALID_ZONES}`;
      expect(type(profile, script)).toBe(zones("Normal Movable", "Normal Movable", "Movable"));
    });
  },
);

describe("behind a movable block", () => {
  const script = `${PROBE}echo online_movable > ${MEMORY}/memory32/state\n${VALID_ZONES}echo online_kernel > ${MEMORY}/memory34/state; echo $?\n`;

  test("v4.14 has no place for Normal, and refuses", () => {
    expect(type("v4.14", script)).toBe(
      `${zones("Movable", "Movable", "Movable")}sh: write error: Invalid argument\n1\n`,
    );
  });

  test.each(["v5.1", "v6.1"] as const)("%s takes any order", (profile) => {
    expect(type(profile, script)).toBe(`${zones("Movable", "Normal Movable", "Normal Movable")}0\n`);
  });
});

describe("removable", () => {
  const script = `cat ${MEMORY}/memory1/removable ${MEMORY}/memory0/removable\n`;

  test.each(["v4.14", "v5.1"] as const)("%s looks at what a block holds", (profile) => {
    expect(type(profile, script)).toBe("1\n0\n");
  });

  test("v6.1 says yes to everything", () => {
    expect(type("v6.1", script)).toBe("1\n1\n");
  });
});

describe("auto_online_blocks", () => {
  const script = `echo online_movable > ${MEMORY}/auto_online_blocks; echo $?; cat ${MEMORY}/auto_online_blocks\n`;

  test.each(["v4.14", "v5.1"] as const)("%s takes online and offline alone", (profile) => {
    expect(type(profile, script)).toBe("sh: write error: Invalid argument\n1\noffline\n");
  });

  test("v6.1 takes a zone, too", () => {
    expect(type("v6.1", script)).toBe("0\nonline_movable\n");
  });
});

describe("the auto-movable online policy", () => {
  test("is a switch of v6.1 that an administrator turns", () => {
    const policy = "/sys/module/memory_hotplug/parameters/online_policy";
    const script = `${PROBE}cat ${policy}; echo auto-movable > ${policy}; cat ${policy}\necho online > ${MEMORY}/memory32/state\n${VALID_ZONES}`;
    expect(type("v6.1", script)).toBe(
      `contig-zones\nauto-movable\n${zones("Movable", "Movable Normal", "Movable Normal")}`,
    );
  });

  test("v5.1 has no such file", () => {
    expect(type("v5.1", "ls /sys/module/memory_hotplug/parameters\n")).not.toContain("online_policy");
  });
});
