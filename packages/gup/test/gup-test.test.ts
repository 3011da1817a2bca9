// gup_test: the kernel's benchmark file, driven by text.
import { run } from "@hetmem/kernel";
import type { MmStruct, Process } from "@hetmem/mm";
import { BASE, pageOf, withMemory, write } from "@hetmem/test-machines/moving";
import { mmOf, vmMachine, type VmMachine } from "@hetmem/test-machines/vm-machine";
import { NodeStat } from "@hetmem/zone";
import { beforeEach, describe, expect, test } from "vitest";
import { gupBenchmark, gupTest, type GupTestPolicy, gupTestTable } from "../src/gup-test.ts";
import { outcome } from "@hetmem/test-machines/outcome";

let machine: VmMachine;
let process: Process;
let mm: MmStruct;

beforeEach(() => {
  machine = vmMachine();
  process = machine.spawn();
  mm = mmOf(process);
  withMemory(process, 64);
});

/** Writes a command into the file. @returns what it says then, by field */
function command(text: string, policy: GupTestPolicy = gupTest): Record<string, string> {
  const file = gupTestTable(machine.vm, policy).files?.[policy.file];
  const stored = file?.store?.({}, `${text}\n`);
  if (stored) run(stored);
  const shown = file?.show?.({});
  if (typeof shown !== "string") throw new Error("the file can't be read at once");
  return Object.fromEntries(
    shown
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split(": ", 2) as [string, string]),
  );
}

const onPages = (pages: number, more = ""): string =>
  `pid=${process.pid} addr=0x${BASE.toString(16)} size=${pages * 4096} ${more}`;

describe("gup_test", () => {
  test.each(Object.keys(gupTest.operations))(
    "%s takes what it is asked for, and gives it back",
    (operation) => {
      const result = command(`${operation} ${onPages(64, "nr_pages_per_call=7 gup_flags=0x1")}`);
      expect(result).toEqual({
        operation,
        get_delta_usec: "0",
        put_delta_usec: "0",
        addr: "0x7f0000000000",
        size: "0x40000",
        nr_pages_per_call: "7",
        gup_flags: "0x1",
        test_flags: "0x0",
        which_pages: "",
      });
      for (let i = 0; i < 64; i++) expect(machine.vm.memmap.refcount(pageOf(process, i))).toBe(1);
      expect(mm.mmapLock.readers).toBe(0);
    },
  );

  test("says how far it got where something is in the way: a call that gives less counts whole", () => {
    expect(command(`GUP_FAST_BENCHMARK ${onPages(100, "nr_pages_per_call=10 gup_flags=1")}`)["size"]).toBe(
      `0x${(70 * 4096).toString(16)}`,
    );
    expect(command(`PIN_BASIC_TEST ${onPages(100, "nr_pages_per_call=8 gup_flags=1")}`)["size"]).toBe(
      "0x40000",
    );
  });

  test("pins are counted as pins", () => {
    command(`PIN_FAST_BENCHMARK ${onPages(64, "nr_pages_per_call=64 gup_flags=1")}`);
    const [node] = machine.memory.nodes;
    expect(node?.stat[NodeStat.nr_foll_pin_acquired]).toBe(64);
    expect(node?.stat[NodeStat.nr_foll_pin_released]).toBe(64);
  });

  test("takes no flags that are the operation's to choose", () => {
    expect(command(`GUP_BASIC_TEST ${onPages(64, "gup_flags=0x40000")}`)["size"]).toBe("0x0");
  });

  test("dumps the pages that it is asked for, and forgets those that aren't there", () => {
    write(process, 1, "x");
    const result = command(`DUMP_USER_PAGES_TEST ${onPages(4, "which_pages=2,9 test_flags=1 gup_flags=1")}`);
    expect(result["which_pages"]).toBe("2,0");
    const log = machine.kernel.log.records.map(({ text }) => text);
    expect(log).toContain("ZEROING due to out of range: .which_pages[1]: 9");
    expect(log).toContain("---- page #1, starting from user virt addr: 0x7f0000000000");
    expect(log).toContain("page dumped because: gup_test: dump_pages() test");
    expect(log.filter((line) => line.startsWith("page:"))).toHaveLength(1);
  });

  test.each([
    ["an operation that isn't one", "GUP_BENCHMARK pid=2 addr=0 size=0", "EINVAL"],
    ["a field that isn't one", "GUP_BASIC_TEST pid=2 addr=0 size=0 pages=1", "EINVAL"],
    ["a field that is missing", "GUP_BASIC_TEST pid=2 addr=0", "EINVAL"],
    ["nine pages to dump", "GUP_BASIC_TEST pid=2 addr=0 size=0 which_pages=1,1,1,1,1,1,1,1,1", "EINVAL"],
    ["a process that isn't there", "GUP_BASIC_TEST pid=99 addr=0 size=0", "ESRCH"],
  ])("refuses %s", (_name, text, errno) => {
    expect(outcome(() => command(text))).toBe(errno);
  });

  test("is empty before the first operation, and root's alone", () => {
    const file = gupTestTable(machine.vm, gupTest).files?.["gup_test"];
    expect(file?.show?.({})).toBe("");
    expect(file?.mode).toBe(0o600);
  });
});

test("before 5.11 the file is gup_benchmark, with the names of its time", () => {
  const result = command(`GUP_BENCHMARK ${onPages(8)}`, gupBenchmark);
  expect([result["operation"], result["size"]]).toEqual(["GUP_BENCHMARK", "0x8000"]);
  expect(outcome(() => command(`GUP_BASIC_TEST ${onPages(8)}`, gupBenchmark))).toBe("EINVAL");
});
