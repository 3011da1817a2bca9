import { run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { type Attribute, intSysctl, parseSysctl, switchSysctl, ulongSysctl, Vfs } from "../src/index.ts";

/** A file of a variable, as a process reads and writes it. */
function fileOf(attribute: Attribute): { read(): string; write(text: string): void } {
  const vfs = new Vfs();
  vfs.mount({ root: "/proc/sys/vm", files: { variable: attribute } });
  return {
    read: () => run(vfs.read("/proc/sys/vm/variable")),
    write: (text) => run(vfs.write("/proc/sys/vm/variable", text)),
  };
}

test("a variable takes its least and its most, and is EINVAL and unchanged beyond either", () => {
  const variables = { ratio: 5 };
  const { read, write } = fileOf(intSysctl(variables, "ratio", -1, 10));
  for (const value of [-1, 10]) {
    write(`${value}\n`);
    expect([variables.ratio, read()]).toEqual([value, `${value}\n`]);
  }
  for (const bad of ["-2\n", "11\n"]) expect(() => write(bad)).toThrow(/EINVAL: .* write -1 to 10/);
  expect(variables.ratio).toBe(10);
});

test("a switch is on for any number of its range but 0", () => {
  const variables = { on: false };
  const { read, write } = fileOf(switchSysctl(variables, "on", 3, -3));
  for (const [text, on] of [
    ["2", true],
    ["0", false],
    ["-3", true],
  ] as const) {
    write(text);
    expect([variables.on, read()]).toEqual([on, `${Number(on)}\n`]);
  }
  expect(() => write("4")).toThrow(/EINVAL/);
});

test("an unsigned variable holds 64 bits, and hears of each write after it", () => {
  const variables = { bytes: 0n };
  const heard: bigint[] = [];
  const { read, write } = fileOf(ulongSysctl(variables, "bytes", () => heard.push(variables.bytes)));
  write("18446744073709551615\n");
  expect(read()).toBe("18446744073709551615\n");
  for (const bad of ["-1\n", "18446744073709551616\n"]) expect(() => write(bad)).toThrow(/EINVAL/);
  expect(heard).toEqual([2n ** 64n - 1n]);
});

test.each([
  ["0x1F", 31],
  ["-0x10\n", -16],
  ["017", 15],
  ["0", 0],
  ["\t 12 13", 12],
])("%j is the number %i: bases are C's, and the first word counts", (text, value) => {
  expect(parseSysctl(text)).toBe(value);
});

test.each(["08", "12k", "0x", "--1", "+1", "", " ", "1.5"])("%j is no number: EINVAL", (text) => {
  expect(() => parseSysctl(text)).toThrow(/EINVAL/);
});
