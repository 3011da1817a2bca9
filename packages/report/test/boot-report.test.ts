import { captureHost } from "@hetmem/host-capture";
import { BUNDLED_CAPTURES, openTree } from "@hetmem/host-capture/node";
import { describe, expect, test } from "vitest";
import { bootReportLines } from "../src/boot-report.ts";
import { createPaint } from "../src/paint.ts";
import { tableLines } from "../src/table.ts";
import { viewOf } from "../src/view.ts";

const plain = createPaint(false);

describe("the first screen", () => {
  test.each(Object.entries(BUNDLED_CAPTURES))(
    "of %s has no line that is wider than the terminal, but for commands",
    (name, file) => {
      const { spec, host, notices } = captureHost(openTree(file), "v6.1");
      const report = {
        view: viewOf(spec, host),
        source: name,
        sameMachine: "",
        host,
        notices,
        plannable: undefined,
      };
      for (const width of [60, 79, 80, 100]) {
        const lines = bootReportLines(report, "hetmem", width, plain);
        const told = lines.slice(0, lines.indexOf("Next"));
        expect(told.filter((line) => line.length > width)).toEqual([]);
      }
    },
  );
});

describe("a table", () => {
  const columns = [
    { title: "node" },
    { title: "bytes", align: "right", spare: 2 },
    { title: "pages", spare: 1 },
  ] as const;
  const rows = [["0", "4096", "1"]];

  test("does without its spare columns where it is too wide, the sparest first", () => {
    expect(tableLines(columns, rows, 18)).toEqual(["node  bytes  pages", "0      4096  1"]);
    expect(tableLines(columns, rows, 17)).toEqual(["node  pages", "0     1"]);
    expect(tableLines(columns, rows, 10)).toEqual(["node", "0"]);
  });

  test("keeps what can't be spared however narrow the terminal is", () => {
    expect(tableLines(columns, rows, 1)).toEqual(["node", "0"]);
  });

  test("paints each cell by its place among all columns", () => {
    const places: [number, number][] = [];
    tableLines(columns, rows, 17, (text, row, column) => {
      places.push([row, column]);
      return text;
    });
    expect(places).toEqual([
      [-1, 0],
      [-1, 2],
      [0, 0],
      [0, 2],
    ]);
  });
});
