import { KernelError } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import { machineOfYaml } from "../src/yaml.ts";

const NODE = "{ memory: 1G, cpus: 0 }";

describe("a text that is too much, or says nothing that a machine has", () => {
  test.each([
    ["an alias of nothing", "nodes: *absent\n", /its aliases \(\*NAME\) can't be followed/],
    [
      "aliases that unfold to billions",
      `a0: &a0 [x, x, x, x, x, x, x, x, x]\n${Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}]\n`).join("")}nodes: *a9\n`,
      /its aliases \(\*NAME\) can't be followed/,
    ],
    ["groups in one another", `nodes: ${"[".repeat(20_000)}`, /more than 32 groups stand in one another/],
    ["a key twice", "nodes: []\nnodes: []\n", /m\.yaml:2: not YAML/],
    ["a second machine", `nodes: [${NODE}]\n---\nnodes: []\n`, /m\.yaml:2: a second machine begins here/],
    [
      "more words than a machine has",
      `nodes: [${"x,".repeat(100_000)}]\n`,
      /more than 100000 words and marks are too many/,
    ],
    [
      "names that the library would compare each with each",
      `sysctl: {${Array.from({ length: 1001 }, (_, at) => `n${at}: 1`).join()}}\n`,
      /1001 names in one group are too many: write at most 1000/,
    ],
    [
      "thirty wrong nodes",
      `nodes: [${"1,".repeat(30)}]\n`,
      /nodes\[19\].*\nand 10 more of the kind: mend these first$/,
    ],
    [
      "a word in the place of a profile, of many lines",
      `nodes: [${NODE}]\nprofile: |\n${"  v6\n".repeat(30)}`,
      /m\.yaml:2: profile: "(v6\\n){20}…" is not known; write v4\.14, v5\.1 or v6\.1$/,
    ],
    ["a name with control characters", `name: "a\\e[31m"\nnodes: [${NODE}]\n`, /is not a text of one line/],
    [
      "a line end in a name",
      `nodes: [${NODE}]\ndevices: [{ name: "a\\n0-1 : b", start: 4G, size: 1G }]\n`,
      /is not a text of one line/,
    ],
    ["a size past 2^53", "nodes: [{ memory: 9007199254740993, cpus: 0 }]\n", /is not a size/],
    ["a size without end", "nodes: [{ memory: .inf, cpus: 0 }]\n", /Infinity is not a size/],
    ["a CPU past what x86 has", "nodes: [{ memory: 1G, cpus: 8192 }]\n", /there can be no CPU 8192/],
    [
      "thousands of devices",
      `nodes: [${NODE}]\ndevices: [${"{ name: x, start: 8G, size: 1G }, ".repeat(2000)}]\n`,
      /2000 devices are too many/,
    ],
    [
      "more nodes than the kernel has",
      `nodes: [${`${NODE}, `.repeat(1025)}]\n`,
      /1025 nodes are too many; write at most 1024/,
    ],
    [
      "modules without end",
      `nodes: [${NODE}]\ndevices: [{ name: Persistent Memory, start: 4G, size: 1G, modules: 4294967296 }]\n`,
      /interleaved over 1, 2, 4, 8 or 16 modules/,
    ],
  ])("%s is refused in a sentence", (_what, text, sentence) => {
    expect(() => machineOfYaml(text, "m.yaml")).toThrow(KernelError);
    expect(() => machineOfYaml(text, "m.yaml")).toThrow(sentence);
  });
});

test("an alias that nothing is marked for is named", () => {
  expect(() => machineOfYaml(`nodes: [&first ${NODE}, *first, *secnd]\n`, "m.yaml")).toThrow(
    "EINVAL: m.yaml: its aliases (*NAME) can't be followed, as nothing before *secnd is marked &secnd: write out what they stand for",
  );
});
