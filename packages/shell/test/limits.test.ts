// What a shell holds, streams and nests: nothing that is typed may end it, or the host's program.
import { describe, expect, test } from "vitest";
import { testShell } from "./test-shell.ts";

describe("what is long is streamed", () => {
  const cases: [line: string, output: string][] = [
    ["seq 1 1000000000000 | head -n 2", "1\n2\n"],
    ["seq 0x6fe7b0000 | head -n 1", "1\n"],
    ["yes | head -n 1", "y\n"],
    ["cat /dev/zero | head -c 3 | od -An -tx1", " 00 00 00\n"],
    ["while echo a; do :; done | head -n 1", "a\n"],
    ["head -c 1M /dev/zero | wc -c", "1048576\n"],
    ["printf '%1000000s' x | wc -c", "1000000\n"],
    ["printf '%.*d' 5 12", "00012"],
    ["printf '%-*d|' 5 12", "12   |"],
    ["dd if=/dev/zero of=/tmp/f bs=3M count=2; wc -c < /tmp/f", "6291456\n"],
  ];
  test.each(cases)("%s", (line, output) => {
    expect(testShell().sh(line).stdout).toBe(output);
  });
});

describe("what is too much is refused in a sentence", () => {
  const cases: [line: string, message: RegExp, status: number][] = [
    ["x=a; while :; do x=$x$x; done", /^sh: out of memory: a word has more than the 64 MiB/, 2],
    ["printf '%4294967296s'", /^sh: printf: Value too large/, 1],
    ["ls $(printf '%140000s' x | tr ' ' x)", /^sh: ls: Argument list too long/, 126],
    ["f() { f; }; f", /^sh: .* deep/, 2],
    ['e=\'eval "$e"\'; eval "$e"', /^sh: commands are nested more than \d+ deep/, 2],
    [`${"(".repeat(5000)}`, /^sh: syntax error: commands are nested/, 2],
    [`echo $((${"(".repeat(5000)}1${")".repeat(5000)}))`, /^sh: the expression is nested/, 2],
    [`[ ${"! ".repeat(5000)} a ]`, /^sh: the condition is nested/, 2],
    [`touch /tmp/${"n".repeat(300)}`, /File name too long/, 1],
  ];
  test.each(cases)("%s", (line, message, status) => {
    const result = testShell().sh(line);
    expect(result.stderr).toMatch(message);
    expect(result.status).toBe(status);
  });
});

test("what stands before a syntax error has run", () => {
  expect(testShell().sh("echo a\nif; then").stdout).toBe("a\n");
});

test("control characters of a script's words never reach the terminal", () => {
  expect(testShell().sh("$(printf '\\033[2J')").stderr).toBe("sh: \\x1b[2J: not found\n");
});
