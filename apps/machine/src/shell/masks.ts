// What can't be equal between a captured machine and a model of it, and why: every rule has its reason, names the kind
// of text it is about, and leaves the rest of the line to be compared. Nothing here touches valid_zones, states, error
// messages, exit statuses, or the span and present pages of a zone that holds memory.

/** The lines of one command's output, on both sides. */
export interface Compared {
  readonly expected: readonly string[];
  readonly actual: readonly string[];
}

export interface Mask {
  readonly name: string;
  /** One sentence: why the two can't be equal. */
  readonly reason: string;
  /** Whether a command prints this kind of text. */
  applies(command: string): boolean;
  /** Replaces what can't be equal on both sides. */
  apply(lines: Compared): Compared;
}

/** Counters of what is in use, by their names in /proc/vmstat and in the zones of /proc/zoneinfo. */
const USE_COUNTERS = [
  "nr_free_pages",
  String.raw`nr_(?:zone_)?(?:in)?active_(?:anon|file)`,
  String.raw`nr_(?:zone_)?(?:unevictable|write_pending)`,
  String.raw`nr_slab_\w+`,
  "nr_anon_pages|nr_mapped|nr_file_pages|nr_shmem|nr_dirty|nr_dirtied|nr_written|nr_mlock",
  "nr_kernel_stack|nr_page_table_pages|nr_kernel_misc_reclaimable",
  String.raw`numa_\w+|workingset_\w+|pgfault|pgmajfault|pgreuse|pgactivate|pgdeactivate`,
  String.raw`pg(?:alloc|free|refill|steal|scan|skip|pgin|pgout)\w*`,
  String.raw`pgmigrate_success|thp_\w+|drop_\w+|unevictable_pgs_\w+`,
].join("|");

/** Fields of /proc/meminfo and of a node's meminfo that say what is in use. */
const USE_FIELDS = [
  String.raw`Mem(?:Free|Available|Used)|Buffers|Cached|Active(?:\(\w+\))?|Inactive(?:\(\w+\))?|Unevictable|Mlocked`,
  "Dirty|FilePages|AnonPages|Mapped|Shmem|KernelStack|PageTables|Committed_AS|VmallocUsed|Percpu",
  "KReclaimable|Slab|SReclaimable|SUnreclaim|AnonHugePages",
].join("|");

export const MASKS: readonly Mask[] = [
  {
    name: "use-counters",
    reason:
      "how many pages are free or used depends on what the captured system's own processes and caches held just then",
    applies: (command) => /zoneinfo|vmstat|numastat/.test(command),
    apply: eachLine(
      new RegExp(
        String.raw`^((?:.*:)?\s*(?:pages free|${USE_COUNTERS}|interleave_hit|local_node|other_node)\s+)\d+$`,
      ),
      "$1<in use>",
    ),
  },
  {
    name: "pagesets",
    reason: "what lies on the per-cpu lists depends on the captured system's last allocations",
    applies: (command) => /zoneinfo/.test(command),
    apply: eachLine(/^(\s+count: )\d+$/, "$1<in use>"),
  },
  {
    name: "use-fields",
    reason:
      "how much memory is free or used depends on what the captured system's own processes and caches held just then",
    applies: (command) => /meminfo/.test(command),
    apply: eachLine(
      new RegExp(String.raw`^((?:.*:)?(?:Node \d+ )?(?:${USE_FIELDS}):)\s+\d+( kB)$`),
      "$1 <in use>$2",
    ),
  },
  {
    name: "free-lists",
    reason: "how the free pages lie in blocks depends on the order of every allocation since boot",
    applies: (command) => /buddyinfo|pagetypeinfo/.test(command),
    apply: eachLine(/^(Node +\d+, zone +\w+(?:, type +\w+)?)(?: +\d+)+ *$/, "$1 <free blocks>"),
  },
  {
    name: "numactl-free",
    reason:
      "how much memory of a node is free depends on what the captured system's own processes and caches held just then",
    applies: (command) => /\bnumactl\b/.test(command),
    apply: eachLine(/^(node \d+ free: )\d+( MB)$/, "$1<in use>$2"),
  },
  {
    name: "dmesg-times",
    reason: "the captured machine took real time for what the model does in none",
    applies: readsLog,
    apply: eachLine(/^\[ *\d+\.\d{6}\] /, "[time] "),
  },
  {
    name: "dmesg-pointers",
    reason:
      "the log quotes (hashed) addresses of the kernel and the words of a struct page, which hold such addresses",
    applies: readsLog,
    apply: chain(
      eachLine(/\bpage:[0-9a-f]{16}\b/, "page:<pointer>"),
      eachLine(/\bmapping:[0-9a-f]{16} index:0x[0-9a-f]+/, "mapping:<pointer> index:<pointer>"),
      eachLine(/\bflags: 0x[0-9a-f]+\(/, "flags: <words>("),
      eachLine(/\braw: [0-9a-f]{16}(?: [0-9a-f]{16})*$/, "raw: <words>"),
    ),
  },
  {
    name: "dmesg-others",
    reason:
      "how the kernel frees its own image, what it checks of its page tables, init's arguments and the stack depths of programs are printed by parts that aren't modelled",
    applies: readsLog,
    apply: dropLines(
      / used greatest stack depth: |^\[[^\]]*\] (?:Freeing unused kernel image |x86\/mm: Checked W\+X mappings: )|^\[[^\]]*\] (?:Run \S*init as init process| {2,}(?:with (?:arguments|environment):|\/init|nokaslr|\w+=\S*))$/,
    ),
  },
  {
    name: "dmesg-window",
    reason: "`tail` counts the lines that aren't modelled too, so it cuts our log further up",
    applies: (command) => readsLog(command) && /\btail\b/.test(command),
    apply: ({ expected, actual }) => ({
      expected,
      actual: actual.length > expected.length ? actual.slice(actual.length - expected.length) : actual,
    }),
  },
  {
    name: "cgroup-others",
    reason:
      "processes run only when they are told to, so that none can be frozen, and the time that they take isn't counted: cgroup.freeze and cpu.stat aren't modelled",
    applies: (command) => /\bls\b.*\/sys\/fs\/cgroup/.test(command),
    apply: dropLines(/^(?:cgroup\.freeze|cpu\.stat)$/),
  },
  {
    name: "uuids",
    reason: "ndctl draws the names of namespaces at random",
    applies: (command) => /\bndctl\b/.test(command),
    apply: eachLine(/^(\s*"(?:raw_)?uuid":")[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"/, '$1<uuid>"'),
  },
  {
    name: "file-times",
    reason: "a file of /sys carries the wall-clock time at which the captured machine made it",
    applies: (command) => /\bls\b.*\s-\w*l/.test(command),
    apply: eachLine(
      /^([-bcdlps][-rwxsStT]{9} +\d+ +\S+ +\S+ +(?:\d+|\d+, +\d+)) [A-Z][a-z]{2} [ \d]\d (?:\d\d:\d\d| \d{4}) /,
      "$1 <time> ",
    ),
  },
  {
    name: "shell-words",
    reason: "shells have different words for an open that failed; the error behind them is compared",
    applies: () => true,
    apply: chain(
      eachLine(
        /^sh: (?:can't create |can't open )?(\/\S+): (?:nonexistent directory|no such file|No such file or directory)$/,
        "sh: $1: <ENOENT>",
      ),
      eachLine(/^sh: (?:can't create |can't open )(\/\S+): /, "sh: $1: "),
      eachLine(/^sh: (?:line \d+: )?(?:echo: |printf: )?write error: /, "sh: write error: "),
    ),
  },
  {
    name: "test-hmm-device-zone",
    reason:
      "test_hmm's device pages belong to the node of the processor that loaded the module, so the same span is on one node or another from boot to boot, and where that node has other device memory, one span reaches over both",
    applies: (command) => /zoneinfo/.test(command),
    apply: maskDeviceZones,
  },
];

/** What two outputs compare as once every mask has been applied to both. */
export function maskOutputs(
  command: string,
  expected: string,
  actual: string,
  masks: readonly Mask[] = MASKS,
): Compared {
  let lines: Compared = { expected: toLines(expected), actual: toLines(actual) };
  for (const mask of masks) if (mask.applies(command)) lines = mask.apply(lines);
  return lines;
}

function readsLog(command: string): boolean {
  return /\bdmesg\b/.test(command);
}

function toLines(text: string): string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

function eachLine(pattern: RegExp, replacement: string): Mask["apply"] {
  return bothSides((lines) => lines.map((line) => line.replace(pattern, replacement)));
}

function dropLines(pattern: RegExp): Mask["apply"] {
  return bothSides((lines) => lines.filter((line) => !pattern.test(line)));
}

function bothSides(change: (lines: readonly string[]) => readonly string[]): Mask["apply"] {
  return ({ expected, actual }) => ({ expected: change(expected), actual: change(actual) });
}

function chain(...steps: readonly Mask["apply"][]): Mask["apply"] {
  return (lines) => steps.reduce((compared, step) => step(compared), lines);
}

/** Where the Device zones of an output give their span, by line. */
interface DeviceSpan {
  readonly line: number;
  readonly pages: string;
}

/**
 * Device zones without memory of their own trade spans between nodes. Only when the two sides have the same spans, on
 * whichever nodes, or one side has them in one piece, is the place left out of the comparison.
 */
function maskDeviceZones(lines: Compared): Compared {
  const [expected, actual] = [deviceSpans(lines.expected), deviceSpans(lines.actual)];
  const same = spansText(expected) === spansText(actual);
  if (!same && !isJoined(expected, actual) && !isJoined(actual, expected)) return lines;
  return { expected: hideSpans(lines.expected, expected), actual: hideSpans(lines.actual, actual) };
}

function spansText(spans: readonly DeviceSpan[]): string {
  return spans
    .map(({ pages }) => pages)
    .sort()
    .join(" ");
}

/** Whether one node has it all, which may lie apart. */
function isJoined(one: readonly DeviceSpan[], parts: readonly DeviceSpan[]): boolean {
  const [whole, ...others] = one.map(({ pages }) => Number(pages)).filter((pages) => pages > 0);
  const sizes = parts.map(({ pages }) => Number(pages)).filter((pages) => pages > 0);
  return (
    whole !== undefined &&
    others.length === 0 &&
    sizes.length > 1 &&
    whole >= sizes.reduce((sum, pages) => sum + pages, 0)
  );
}

function deviceSpans(lines: readonly string[]): DeviceSpan[] {
  const spans: DeviceSpan[] = [];
  let device = false;
  lines.forEach((line, index) => {
    if (/^Node \d+, zone/.test(line)) device = /zone +Device$/.test(line);
    const pages = device ? /^ +spanned +(\d+)$/.exec(line)?.[1] : undefined;
    if (pages !== undefined && /^ +present +0$/.test(lines[index + 1] ?? ""))
      spans.push({ line: index, pages });
  });
  return spans;
}

function hideSpans(lines: readonly string[], spans: readonly DeviceSpan[]): string[] {
  const hidden = new Set(spans.map(({ line }) => line));
  return lines.map((line, index) =>
    hidden.has(index) ? line.replace(/\d+$/, "<device pages of some node>") : line,
  );
}
