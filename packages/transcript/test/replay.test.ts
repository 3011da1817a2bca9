// Captures: their format, replaying them, and what is left out of the comparison and what is not.
import { isIncomplete } from "@hetmem/shell";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatTranscript, MASKS, maskOutputs, parseTranscript, replayTranscript } from "../src/index.ts";
import { testShell } from "./test-shell.ts";

const MEMORY = "/sys/devices/system/memory";

describe("the format of a capture", () => {
  const capture =
    "$ echo a\na\n$ cat /x\ncat: can't open '/x': No such file or directory\n[exit 1]\n$ true\n";

  test("is commands, outputs and statuses", () => {
    expect(parseTranscript(capture)).toEqual([
      { command: "echo a", output: "a\n", status: 0 },
      { command: "cat /x", output: "cat: can't open '/x': No such file or directory\n", status: 1 },
      { command: "true", output: "", status: 0 },
    ]);
  });

  test("a command over several lines, and lines that end as on Windows, are read as they were typed", () => {
    expect(parseTranscript("$ for i in 1 2; do\r\necho $i\r\ndone\r\n1\r\n2\r\n[exit 3]\r\n")).toEqual([
      { command: "for i in 1 2; do\necho $i\ndone", output: "1\n2\n", status: 3 },
    ]);
  });

  test("comes out as it went in", () => {
    const line = fc.string({ unit: "grapheme-ascii" }).filter((text) => !/^\$ |^\[exit \d+\]$|\n/.test(text));
    const entry = fc.record({
      command: line.filter((text) => !isIncomplete(text)),
      output: fc.array(line, { maxLength: 4 }).map((lines) => lines.map((text) => `${text}\n`).join("")),
      status: fc.nat(255),
    });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1 }), (entries) => {
        expect(parseTranscript(formatTranscript(entries))).toEqual(entries);
      }),
    );
  });
});

describe("replaying", () => {
  test("a text without commands is EINVAL, not a capture that agrees", () => {
    expect(() => replayTranscript(testShell().shell, "nodes: 2\n", { name: "x.yaml" })).toThrow(
      /^EINVAL: x\.yaml has no line/,
    );
  });

  test("a capture that the machine agrees with is equal, and comes back word for word", () => {
    const capture = `$ echo nonsense > ${MEMORY}/memory1/state\nsh: write error: Invalid argument\n[exit 1]\n$ cat ${MEMORY}/memory1/state\nonline\n`;
    const { shell } = testShell();
    expect(replayTranscript(shell, capture)).toEqual({
      actual: capture,
      diff: "",
      equal: true,
      differing: [],
    });
  });

  test("a difference is shown as a unified diff and named by its command", () => {
    const { shell } = testShell();
    const capture = `$ cat ${MEMORY}/memory1/state\noffline\n$ echo same\nsame\n`;
    const result = replayTranscript(shell, capture, { name: "probe.txt" });
    expect(result).toMatchObject({ equal: false, differing: [`cat ${MEMORY}/memory1/state`] });
    expect(result.diff).toBe(
      `--- probe.txt\n+++ this machine\n@@ -1,4 +1,4 @@\n $ cat ${MEMORY}/memory1/state\n-offline\n+online\n $ echo same\n same\n`,
    );
  });

  test("a status alone makes a difference", () => {
    const { shell } = testShell();
    expect(replayTranscript(shell, "$ false\n").diff).toContain("+[exit 1]");
  });

  test("lines don't see each other's variables, as each was recorded in a subshell", () => {
    const { shell } = testShell();
    expect(replayTranscript(shell, '$ x=1\n$ echo "$x"\n\n').equal).toBe(true);
  });
});

describe("masks", () => {
  const hidden: [what: string, command: string, expected: string, actual: string][] = [
    [
      "free pages of a zone",
      "grep -A4 Movable /proc/zoneinfo",
      "  pages free     32712\n",
      "  pages free     32768\n",
    ],
    [
      "counters of use",
      "grep nr_ /proc/vmstat",
      "nr_free_pages 527888\nnr_shmem 19613\n",
      "nr_free_pages 1\nnr_shmem 2\n",
    ],
    ["events since boot", "grep pgfault /proc/vmstat", "pgfault 527888\n", "pgfault 1\n"],
    ["free memory", "cat /proc/meminfo", "MemFree:         1913144 kB\n", "MemFree:         9 kB\n"],
    [
      "free memory of a node behind a file name",
      "grep -r . /sys/x/meminfo",
      "/sys/x/meminfo:Node 1 MemFree:   910296 kB\n",
      "/sys/x/meminfo:Node 1 MemFree: 1 kB\n",
    ],
    [
      "free blocks",
      "cat /proc/buddyinfo",
      "Node 0, zone      DMA      0      1      3 \n",
      "Node 0, zone      DMA      2      2      2 \n",
    ],
    [
      "times of the log",
      "dmesg | tail -1",
      "[    2.134039] Policy zone: DMA32\n",
      "[    0.000000] Policy zone: DMA32\n",
    ],
    [
      "addresses in the log",
      "dmesg",
      "[    2.4] x\n[    2.411991] page:000000002f3d30b7 refcount:1 mapcount:0 mapping:0000000000000000 index:0xff110000403f5e00 pfn:0x108000\n",
      "[    2.4] x\n[    0.000000] page:0000000048f81e0e refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x108000\n",
    ],
    [
      "stack depths in the log",
      "dmesg | tail -2",
      "[    1.622517] mount (75) used greatest stack depth: 14008 bytes left\n[    2.134039] Policy zone: DMA32\n",
      "[    0.000000] Fallback order for Node 0: 0 1 \n[    0.000000] Policy zone: DMA32\n",
    ],
    [
      "names of namespaces",
      "ndctl list -Nv",
      '  "uuid":"82155aaa-ced0-453e-95e5-dd726d7491cb",\n',
      '  "uuid":"487981ab-db40-4c9d-a8bc-1b8fd83072e5",\n',
    ],
    [
      "times of files",
      "ls -la /sys/x",
      "-r--r--r--    1 0        0             4096 Nov 21 04:47 state\n",
      "-r--r--r--    1 0        0             4096 Jan  1 00:00 state\n",
    ],
    [
      "a shell's words for a missing directory",
      "echo x > /sys/a/b",
      "sh: /sys/a/b: No such file or directory\n",
      "sh: can't create /sys/a/b: nonexistent directory\n",
    ],
  ];
  test.each(hidden)("leave out %s", (_, command, expected, actual) => {
    expect(equal(command, expected, actual)).toBe(true);
  });

  const shown: [what: string, command: string, expected: string, actual: string][] = [
    [
      "valid_zones",
      `grep . ${MEMORY}/memory3?/valid_zones`,
      "/a/memory32/valid_zones:Normal Movable\n",
      "/a/memory32/valid_zones:Movable\n",
    ],
    ["states", `cat ${MEMORY}/memory8/state`, "online\n", "offline\n"],
    ["errors", "echo x > /sys/a", "sh: write error: Invalid argument\n", "sh: write error: File exists\n"],
    [
      "errors of an open",
      "echo x > /sys/a/b",
      "sh: /sys/a/b: Permission denied\n",
      "sh: can't create /sys/a/b: nonexistent directory\n",
    ],
    [
      "spans",
      "cat /proc/zoneinfo",
      "Node 0, zone Normal\n        spanned  32768\n",
      "Node 0, zone Normal\n        spanned  0\n",
    ],
    ["present pages", "cat /proc/zoneinfo", "        present  32768\n", "        present  0\n"],
    ["managed pages", "cat /proc/zoneinfo", "        managed  32768\n", "        managed  32767\n"],
    ["pages that an operator dropped", "grep drop_ /proc/vmstat", "drop_pagecache 1\n", "drop_pagecache 0\n"],
    ["kills", "grep oom_kill /proc/vmstat", "oom_kill 1\n", "oom_kill 0\n"],
    ["failed migrations", "grep pgmigrate /proc/vmstat", "pgmigrate_fail 1\n", "pgmigrate_fail 0\n"],
    ["free pages of an empty zone", "cat /proc/zoneinfo", freeIn(0, 0), freeIn(1, 0)],
    [
      "more free pages than a zone manages",
      "cat /proc/zoneinfo",
      freeIn(32_768, 32_768),
      freeIn(32_769, 32_768),
    ],
    [
      "poisoned memory",
      "grep -i HardwareCorrupted /proc/meminfo",
      "HardwareCorrupted:     8 kB\n",
      "HardwareCorrupted:     4 kB\n",
    ],
    [
      "modes and links of files",
      "ls -la /sys/x",
      "-r--r--r--    1 0        0             4096 Nov 21 04:47 state\n",
      "-rw-r--r--    1 0        0             4096 Nov 21 04:47 state\n",
    ],
    [
      "lines of the log",
      "dmesg | tail -1",
      "[    2.134039] Policy zone: DMA32\n",
      "[    2.134039] Policy zone: Normal\n",
    ],
    ["a log that is too short", "dmesg | tail -2", "[    2.1] a\n[    2.2] b\n", "[    2.2] b\n"],
  ];
  test.each(shown)("leave %s to be compared", (_, command, expected, actual) => {
    expect(equal(command, expected, actual)).toBe(false);
  });

  const elsewhere: Readonly<Record<string, [command: string, expected: string, actual: string]>> = {
    "use-counters": ["cat /tmp/counts", "nr_free_pages 527888\n", "nr_free_pages 1\n"],
    "event-counters": ["cat /tmp/counts", "pgfault 527888\n", "pgfault 1\n"],
    "free-pages": ["cat /proc/vmstat", freeIn(32_712, 32_768), freeIn(32_768, 32_768)],
    pagesets: ["cat /proc/vmstat", "    count: 5\n", "    count: 6\n"],
    "use-fields": ["cat /proc/zoneinfo", "MemFree:  2 kB\n", "MemFree:  1 kB\n"],
    "free-lists": ["cat /proc/zoneinfo", "Node 0, zone  DMA   0   1 \n", "Node 0, zone  DMA   2   2 \n"],
    "numactl-free": ["cat /tmp/notes", "node 0 free: 5 MB\n", "node 0 free: 6 MB\n"],
    "dmesg-times": ["cat /tmp/log", "[    2.134039] x\n", "[    0.000000] x\n"],
    "dmesg-pointers": ["cat /tmp/log", "page:000000002f3d30b7 x\n", "page:0000000048f81e0e x\n"],
    "dmesg-others": ["cat /tmp/log", "mount (75) used greatest stack depth: 14008 bytes left\nx\n", "x\n"],
    "dmesg-window": ["tail -1 /proc/vmstat", "pgrotated 0\n", "pgpromoted 0\npgrotated 0\n"],
    "file-times": [
      "cat /tmp/list",
      "-r--r--r--    1 0        0             4096 Nov 21 04:47 state\n",
      "-r--r--r--    1 0        0             4096 Jan  1 00:00 state\n",
    ],
    uuids: [
      "cat /tmp/list",
      '  "uuid":"82155aaa-ced0-453e-95e5-dd726d7491cb",\n',
      '  "uuid":"487981ab-db40-4c9d-a8bc-1b8fd83072e5",\n',
    ],
    "cgroup-others": ["cat /tmp/list", "cgroup.procs\ncgroup.freeze\n", "cgroup.procs\n"],
    "test-hmm-device-zone": ["cat /tmp/zones", zones([131_072, 0]), zones([0, 131_072])],
  };
  test.each(Object.entries(elsewhere))(
    "%s leaves the output of another command to be compared",
    (_, [command, expected, actual]) => {
      expect(equal(command, expected, actual)).toBe(false);
    },
  );

  test("the whole log is compared line by line, also where ours has more before it", () => {
    expect(equal("dmesg", "[    2.2] b\n", "[    2.1] a\n[    2.2] b\n")).toBe(false);
  });

  test("a shell's words are compared where another program says them", () => {
    const [expected, actual] = ["No such file or directory", "nonexistent directory"];
    expect(equal("cat /x", `cat: /x: ${expected}\n`, `cat: /x: ${actual}\n`)).toBe(false);
  });

  test("each mask but the shell's, which prints with every command, is tried on a command of another kind", () => {
    expect([...Object.keys(elsewhere), "shell-words"].sort()).toEqual(MASKS.map(({ name }) => name).sort());
  });

  test("test_hmm's device pages may lie on another node", () => {
    expect(equal("cat /proc/zoneinfo", zones([131_072, 0]), zones([0, 131_072]))).toBe(true);
  });

  test("one node may have what the machine's two have, and what lies between, to the page", () => {
    const parts = [
      { startPfn: 1_000_000, endPfn: 1_131_072 },
      { startPfn: 2_000_000, endPfn: 2_065_536 },
    ];
    const joined = (span: number): boolean => {
      const [answered, machine] = [zones([span, 0]), zones([131_072, 65_536])];
      const lines = maskOutputs("cat /proc/zoneinfo", answered, machine, MASKS, parts);
      return lines.expected.join("\n") === lines.actual.join("\n");
    };
    expect(joined(1_065_536)).toBe(true);
    for (const span of [0, 131_072, 196_608, 1_065_535, 1_065_537]) expect(joined(span)).toBe(false);
  });

  test("but not be others, nor be present", () => {
    expect(equal("cat /proc/zoneinfo", zones([131_072, 0]), zones([0, 65_536]))).toBe(false);
    expect(equal("cat /proc/zoneinfo", zones([131_072, 0], 1), zones([0, 131_072], 1))).toBe(false);
  });

  test("each has a name of its own and a reason", () => {
    expect(new Set(MASKS.map(({ name }) => name)).size).toBe(MASKS.length);
    expect(MASKS.filter(({ reason }) => reason.length < 20)).toEqual([]);
  });
});

/** Whether two outputs compare as equal. */
function equal(command: string, expected: string, actual: string): boolean {
  const lines = maskOutputs(command, expected, actual);
  return lines.expected.join("\n") === lines.actual.join("\n");
}

/** Two nodes of /proc/zoneinfo as far as their last two zones go. */
function zones(spans: readonly [device0: number, device1: number], present = 0): string {
  return spans
    .map((pages, node) => zone(node, "Movable", 0, 0) + zone(node, "Device", pages, present))
    .join("");
}

/** What /proc/zoneinfo says first of a zone. */
function freeIn(free: number, managed: number): string {
  return `Node 0, zone  Movable\n  pages free     ${free}\n        spanned  ${managed}\n        present  ${managed}\n        managed  ${managed}\n`;
}

function zone(node: number, name: string, spanned: number, present: number): string {
  const title = `Node ${node}, zone ${name.padStart(8)}`;
  return `${title}\n        spanned  ${spanned}\n        present  ${present}\n        managed  0\n`;
}
