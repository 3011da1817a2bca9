// Kinds of faults that are mended everywhere stay so: each rule is kept by every source file, and refuses a sample of its kind.
import { readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as rules from "../src/rules.ts";
import { parseFile } from "../src/syntax.ts";
import { exists, packages, readText, ROOT, sources } from "../src/workspace.ts";

const FILES = packages()
  .flatMap(({ folder }) => sources(join(folder, "src")))
  .map((path) => parseFile(path, readText(path)));

interface Kept {
  readonly rule: rules.Rule;
  /** Where the rule holds, from the root. */
  readonly where: RegExp;
  /** Files that may break it, with the reason: each of them does. */
  readonly except?: Readonly<Record<string, string>>;
}

const RULES: Readonly<Record<string, Kept>> = {
  "no message is cut": { rule: rules.cutMessages, where: /./ },
  "no message is nested in another": {
    rule: rules.nestedMessages,
    where: /./,
    except: { "packages/machine-spec/src/yaml.ts": "messages of the YAML library have no errno" },
  },
  "no catch goes without a look at the error": { rule: rules.bareCatches, where: /./ },
  "no catch of a package swallows every error": {
    rule: rules.swallowedErrors,
    where: /^packages\//,
    except: {
      "packages/kernel/src/scheduler.ts":
        "the error is the task's end, which whoever runs the tasks looks at",
      "packages/driver-kit/src/conformance.ts":
        "a bug of the driver under test is a finding that the report tells",
      "packages/shell/src/node/interactive.ts": "a terminal tells whatever ended a line, and takes the next",
      "packages/shell/src/node/run-script.ts": "whatever ended a script is told, and is its status",
    },
  },
  "a loop without a bound says why it ends": { rule: rules.endlessLoops, where: /./ },
  "a text has a limit or says why it is short": {
    rule: rules.unboundedTexts,
    where: /^(apps\/machine\/src\/(programs|shell)|packages\/(shell|transcript|vfs))\//,
  },
  "nothing is switched for tests": { rule: rules.testSwitches, where: /./ },
};

describe.each(Object.entries(RULES))("%s", (_name, { rule, where, except = {} }) => {
  const refused = FILES.filter(({ path }) => where.test(path)).filter((file) => rule(file).length > 0);

  test("in any source file", () => {
    const strays = refused.filter(({ path }) => !Object.hasOwn(except, path));
    expect(strays.flatMap((file) => rule(file).map((offence) => `${file.path}:${offence}`))).toEqual([]);
  });

  test("but where an exception has a reason", () => {
    const paths = refused.map(({ path }) => path);
    expect(Object.keys(except).filter((path) => !paths.includes(path))).toEqual([]);
  });
});

const SAMPLES: readonly (readonly [rule: rules.Rule, bad: readonly string[], good: readonly string[]])[] = [
  [
    rules.cutMessages,
    [
      "text = error.message.slice(8);",
      'text = error?.message.replace(/^E\\w+: /, "");',
      "text = (error as Error).message.split(': ')[1];",
    ],
    ["text = error.reason;", "text = line.slice(8);", "log(error.message);"],
  ],
  [
    rules.nestedMessages,
    [
      'throw new KernelError("ENXIO", error.message);',
      'throw new KernelError("ENXIO", `it fails: ${visible(error.message)}`);',
      "text = `${error.errno}: ${error.message}`;",
    ],
    ['throw new KernelError("ENXIO", error.reason);', "text = `${error.errno}: ${error.reason}`;"],
  ],
  [
    rules.bareCatches,
    ["try { read(); } catch { size = 0; }", "try { read(); } catch {}"],
    ["try { read(); } finally { close(); }"],
  ],
  [
    rules.swallowedErrors,
    [
      "try { read(); } catch (error) { size = 0; }",
      "try { read(); } catch (error) { log(error); }",
      'try { read(); } catch (error) { throw new KernelError("EIO", "it fails"); }',
      "try { read(); } catch (error) { if (error instanceof KernelError) size = 0; }",
      'try { read(); } catch (error) { if (error.errno !== "EIO") throw error; size = 0; }',
      "function f() { try { read(); } catch (error) { if (size) return 0; throw error; } }",
    ],
    [
      "try { read(); } catch (error) { close(); throw error; }",
      "try { read(); } catch (error) { if (!(error instanceof KernelError)) throw error; size = 0; }",
      "try { read(); } catch (error) { throw new Failure(1, error); }",
    ],
  ],
  [
    rules.endlessLoops,
    [
      "for (;;) step();",
      "for (let i = 0; ; i++) step();",
      "while (true) step();",
      "while (1) step();",
      "do step(); while (again());",
      "// Goes on.\nfor (;;) step();",
      "// Ends: soon.\nlet i = 0;\nfor (;;) step();",
    ],
    [
      "// Ends: with the task.\nfor (;;) step();",
      "// Ends: with the task,\n// or before.\nfor (;;) step();",
      "for (;;) {\n  // Ends: with the task.\n  step();\n}",
      "for (let i = 0; i < 3; i++) step();",
      "while (more()) step();",
    ],
  ],
  [
    rules.unboundedTexts,
    [
      'pad = " ".repeat(width);',
      'pad = " ".repeat(Math.max(width, 8));',
      "text = word.padStart(Number(precision), '0');",
      "const width = Number(option);\ntext = word.padEnd(width + 2);",
      "text = word.padEnd(8 * count);",
    ],
    [
      'pad = " ".repeat(Math.min(width, COLUMNS));',
      "text = word.padStart(16, '0');",
      "const width = wide ? 16 : 8;\ntext = word.padEnd(width - word.length);",
      "// Bounded: by the digits of a number.\ntext = word.padEnd(width);",
    ],
  ],
  [
    rules.testSwitches,
    ["if (vm.racing) slow();", "const table = { forTests: true };", 'fast = env["NODE_ENV"] !== "x";'],
    ["while (test(word)) step();", "if (pattern.test(word)) step();"],
  ],
];

describe.each(SAMPLES.map((sample) => [sample[0].name, ...sample] as const))(
  "%s",
  (_name, rule, bad, good) => {
    test.each(bad)("refuses %j", (text) => {
      expect(rule(parseFile("sample.ts", text))).toHaveLength(1);
    });

    test.each(good)("takes %j", (text) => {
      expect(rule(parseFile("sample.ts", text))).toEqual([]);
    });
  },
);

test("each rule is kept and has its samples", () => {
  const all = Object.entries(rules).map(([name]) => name);
  expect(Object.values(RULES).map(({ rule }) => rule.name)).toEqual(all);
  expect(SAMPLES.map(([rule]) => rule.name)).toEqual(all);
});

test("each test that the table of faults names is there", () => {
  const named = [...readText("docs/kinds-of-faults.md").matchAll(/`((?:packages|apps|tools)\/[^`]+)`/g)];
  expect(named.length).toBeGreaterThan(50);
  expect(named.flatMap(([, path = ""]) => (exists(path) ? [] : [path]))).toEqual([]);
});

/** Folders that hold nothing that is committed. */
const NOT_COMMITTED = /^(node_modules|dist|coverage|\.git|\.turbo|\.vite|bundle-.*|example-.*)$/;

function* filesUnder(folder: string): Generator<string, void> {
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (NOT_COMMITTED.test(entry.name) || entry.name.endsWith(".tsbuildinfo")) continue;
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (entry.isFile()) yield path;
  }
}

/** A folder of whoever works here: homes of people, and this checkout unless it has a name that any path may have. */
function placeIn(text: string): string | undefined {
  const depth = (path: string): number => path.split("/").filter(Boolean).length;
  const places = [...(depth(homedir()) > 0 ? [homedir()] : []), ...(depth(ROOT) > 1 ? [ROOT] : [])];
  const place = places.find((path) => text.includes(join(path, "/")));
  return place ?? /(?<![\w.])\/(?:home|Users)\/\w[\w.-]*\//.exec(text)?.[0];
}

test("no file names a place of the machine on which it was written", () => {
  const strays = [...filesUnder("")].flatMap((path) => {
    const place = placeIn(readFileSync(join(ROOT, path), "latin1"));
    return place === undefined ? [] : [`${path}: ${place}`];
  });
  expect(strays).toEqual([]);
});

test.each([
  ["a home", `cd ${["", "home", "ann", "src"].join("/")}`],
  ["another home", `cd ${join(homedir(), "src")}`],
])("a file that names %s would be found", (_what, text) => {
  expect(placeIn(text)).toBeDefined();
  expect(placeIn("cat /home /sys/fs/cgroup/work/db")).toBeUndefined();
});
