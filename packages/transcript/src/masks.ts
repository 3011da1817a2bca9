// The masks of a comparison: texts that can't be equal between a captured machine and a model of it. Every mask has its
// reason, names the kind of text that it hides, and leaves the rest of the line to be compared. No mask touches
// valid_zones, states, error messages, exit statuses, or the span and present pages of a zone that holds memory.

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
  /**
   * Replaces, on both sides, the text that can't be equal.
   *
   * @param deviceZones the zones of device memory of the machine that answered, as they were then
   */
  apply(lines: Compared, deviceZones: readonly PfnSpan[]): Compared;
}

/** The range of a zone, in pages. */
export interface PfnSpan {
  readonly startPfn: number;
  readonly endPfn: number;
}

/** Counters of pages in use, by their names in /proc/vmstat and in the nodes and zones of /proc/zoneinfo. */
const USE_COUNTERS = [
  "nr_free_pages",
  String.raw`nr_(?:zone_)?(?:in)?active_(?:anon|file)`,
  String.raw`nr_(?:zone_)?(?:unevictable|write_pending)|nr_slab_(?:un)?reclaimable`,
  "nr_anon_pages|nr_mapped|nr_file_pages|nr_shmem|nr_dirty|nr_mlock",
  "nr_kernel_stack|nr_page_table_pages|nr_kernel_misc_reclaimable",
].join("|");

/** Events since boot, by their names in the same files and in those of nodes. Events that only an operator causes are not among them. */
const EVENT_COUNTERS = [
  "numa_(?:hit|miss|foreign|interleave|local|other)|interleave_hit|local_node|other_node",
  String.raw`nr_dirtied|nr_written|workingset_\w+|unevictable_pgs_\w+`,
  "pgfault|pgmajfault|pgreuse|pgactivate|pgdeactivate|pgpgin|pgpgout|pgfree|pgrefill|pgmigrate_success",
  String.raw`pg(?:alloc|skip)_(?:dma|dma32|normal|movable|device)`,
  String.raw`pg(?:steal|scan)_(?:kswapd|direct|anon|file)`,
  String.raw`thp_(?:fault|collapse|file|split|zero_page|deferred)\w*`,
].join("|");

/** Fields of /proc/meminfo and of a node's meminfo that count memory in use. */
const USE_FIELDS = [
  String.raw`Mem(?:Free|Available|Used)|Buffers|Cached|Active(?:\(\w+\))?|Inactive(?:\(\w+\))?|Unevictable|Mlocked`,
  "Dirty|FilePages|AnonPages|Mapped|Shmem|KernelStack|PageTables|Committed_AS|VmallocUsed|Percpu",
  "KReclaimable|Slab|SReclaimable|SUnreclaim|AnonHugePages",
].join("|");

export const MASKS: readonly Mask[] = [
  {
    name: "use-counters",
    reason:
      "how many pages are used, and for what, depends on what the captured system's own processes and caches held just then",
    applies: readsCounters,
    apply: eachLine(new RegExp(String.raw`^((?:.*:)?\s*(?:${USE_COUNTERS})\s+)\d+$`), "$1<in use>"),
  },
  {
    name: "event-counters",
    reason:
      "how often the captured system's own processes faulted, allocated, missed a node or had pages moved since boot isn't known",
    applies: readsCounters,
    apply: eachLine(new RegExp(String.raw`^((?:.*:)?\s*(?:${EVENT_COUNTERS})\s+)\d+$`), "$1<since boot>"),
  },
  {
    name: "free-pages",
    reason:
      "how many pages of a zone are free depends on what the captured system held just then; but an empty zone has none, and no zone more than it manages",
    applies: (command) => /\bzoneinfo\b/.test(command),
    apply: bothSides(hideFreePages),
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

/** The lines of two outputs after all masks that apply to the command. */
export function maskOutputs(
  command: string,
  expected: string,
  actual: string,
  masks: readonly Mask[] = MASKS,
  deviceZones: readonly PfnSpan[] = [],
): Compared {
  let lines: Compared = { expected: toLines(expected), actual: toLines(actual) };
  for (const mask of masks) if (mask.applies(command)) lines = mask.apply(lines, deviceZones);
  return lines;
}

function readsCounters(command: string): boolean {
  return /\b(?:zoneinfo|vmstat|numastat)\b/.test(command);
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
  return (lines, deviceZones) => steps.reduce((compared, step) => step(compared, deviceZones), lines);
}

/** Hides the free pages of a zone, unless there are more than the zone manages; `managed` follows a few lines below. */
function hideFreePages(lines: readonly string[]): string[] {
  return lines.map((line, index) => {
    const [, words = "", free] = /^(\s*pages free\s+)(\d+)$/.exec(line) ?? [];
    if (free === undefined) return line;
    const rest = lines.slice(index + 1, index + LINES_OF_A_ZONE);
    const end = rest.findIndex((other) => /^Node |pages free/.test(other));
    const managed = (end < 0 ? rest : rest.slice(0, end)).find((other) => /^\s+managed\s/.test(other));
    const most = managed === undefined ? Infinity : Number(managed.trim().split(/\s+/)[1]);
    return most === 0 || Number(free) > most ? line : `${words}<in use>`;
  });
}

/** From `pages free` to `managed` and a little further. */
const LINES_OF_A_ZONE = 12;

/** A line of an output that has the span of a Device zone. */
interface DeviceSpan {
  readonly line: number;
  readonly pages: string;
}

/**
 * Device zones without memory of their own trade spans between nodes. The place is left out of the comparison only when the two
 * sides have the same spans, on whichever nodes, or when the captured kernel has on one node what this machine has on several:
 * then its span must be just that from the beginning of the first to the end of the last.
 */
function maskDeviceZones(lines: Compared, deviceZones: readonly PfnSpan[]): Compared {
  const [expected, actual] = [deviceSpans(lines.expected), deviceSpans(lines.actual)];
  const same = spansText(expected) === spansText(actual);
  if (!same && !isJoined(expected, actual, deviceZones)) return lines;
  return { expected: hideSpans(lines.expected, expected), actual: hideSpans(lines.actual, actual) };
}

function spansText(spans: readonly DeviceSpan[]): string {
  return spans
    .map(({ pages }) => pages)
    .sort()
    .join(" ");
}

/** Whether the one span reaches from the first to the last of this machine's device zones, just that. */
function isJoined(
  whole: readonly DeviceSpan[],
  parts: readonly DeviceSpan[],
  deviceZones: readonly PfnSpan[],
): boolean {
  const zones = deviceZones.filter(({ startPfn, endPfn }) => endPfn > startPfn);
  const sizes = zones.map(({ startPfn, endPfn }) => endPfn - startPfn);
  const start = Math.min(...zones.map(({ startPfn }) => startPfn));
  const end = Math.max(...zones.map(({ endPfn }) => endPfn));
  return (
    zones.length > 1 && sizesOf(parts) === `${sizes.sort(byNumber)}` && sizesOf(whole) === `${end - start}`
  );
}

/** The sizes of the spans that aren't empty, in order. */
function sizesOf(spans: readonly DeviceSpan[]): string {
  const sizes = spans.map(({ pages }) => Number(pages)).filter((pages) => pages > 0);
  return `${sizes.sort(byNumber)}`;
}

function byNumber(one: number, other: number): number {
  return one - other;
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
