// The language itself: what a real busybox shell answered to a hundred lines, and what those lines don't show.
import { readFileSync } from "node:fs";
import { run } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isCommand, isIncomplete } from "../src/index.ts";
import { testShell } from "./test-shell.ts";

describe("what busybox 1.35 answered in an empty directory", () => {
  const transcript = readFileSync(new URL("fixtures/busybox-sh.txt", import.meta.url), "utf8");
  const { shell, sh } = testShell();
  sh("mkdir /w; cd /w");
  // Each line sees the files of the lines before it.
  test.each(linesOf(transcript))("$command", ({ command, output, status }) => {
    const answer = run(shell.execute(command, { subshell: true }));
    const ended = answer.output === "" || answer.output.endsWith("\n") ? answer.output : `${answer.output}\n`;
    expect({ output: ended, status: answer.status }).toEqual({ output, status });
  });
});

interface Line {
  readonly command: string;
  readonly output: string;
  readonly status: number;
}

/** The lines of a capture: `$ command`, which goes on until it is whole, its output, `[exit N]`. */
function linesOf(capture: string): Line[] {
  return capture
    .split(/^\$ /m)
    .slice(1)
    .map((text) => {
      const [, answer = "", status = "0"] = /^(.*?)(?:\[exit (\d+)\]\n)?$/s.exec(text) ?? [];
      const lines = answer.split("\n");
      const whole = lines.findIndex((_, at) => isCommand(lines.slice(0, at + 1).join("\n")));
      const count = Math.max(whole, 0) + 1;
      const command = lines.slice(0, count).join("\n");
      return { command, output: lines.slice(count).join("\n"), status: Number(status) };
    });
}

describe("scripts", () => {
  test("lines, here-documents and functions work together", () => {
    const { sh } = testShell();
    const script = `
# a comment
greet() {
  cat <<EOF
hello $1 $((1 + 1)) \\$5
EOF
}
greet you
cat <<'EOF'
$1 stays
EOF
cat <<-EOF
	tabs go
	EOF
if true
then echo yes
else echo no
fi
for i in a \\
  b; do
  echo $i
done
`;
    expect(sh(script).output).toBe("hello you 2 $5\n$1 stays\ntabs go\nyes\na\nb\n");
  });

  test("arguments of a script are its positional parameters", () => {
    const { shell } = testShell();
    expect(run(shell.execute('echo "$1" $#', { args: ["x y", "z"] })).output).toBe("x y 2\n");
  });

  test("exit leaves the shell and says so", () => {
    const { sh } = testShell();
    expect(sh("echo a; exit 3; echo b")).toMatchObject({ output: "a\n", status: 3, exited: true });
  });

  test("set -e ends a script at the first failure that nobody asks about", () => {
    const { sh } = testShell();
    expect(sh("set -e; false || echo asked; cat /nosuch; echo never")).toMatchObject({
      output: "asked\ncat: can't open '/nosuch': No such file or directory\n",
      status: 1,
    });
  });

  test("set -x shows commands as they run", () => {
    const { sh } = testShell();
    expect(sh('set -x; x="a b"; echo $x')).toMatchObject({ stdout: "a b\n", stderr: "+ echo a b\n" });
  });

  test("both streams are kept apart and in order", () => {
    const { sh } = testShell();
    const { output, stdout, stderr } = sh("echo 1; echo 2 >&2; echo 3");
    expect([output, stdout, stderr]).toEqual(["1\n2\n3\n", "1\n3\n", "2\n"]);
  });
});

describe("state", () => {
  test("variables and the directory stay from line to line, and a subshell keeps its own", () => {
    const { shell, sh } = testShell();
    sh("x=1; cd /sys/devices/system/memory/memory8/node1");
    run(shell.execute("x=2; cd /", { subshell: true }));
    expect(sh("echo $x; pwd; cat ../online").output).toBe("1\n/sys/devices/system/node/node1\n0-1\n");
  });

  test("a function calls itself only so deep", () => {
    const { sh } = testShell();
    expect(sh("f() { f; }; f").stderr).toMatch(/^sh: functions call each other more than 200 deep/);
  });

  test("^C ends a loop before its next command and the shell lives on", () => {
    const { shell, sh } = testShell();
    const task = shell.execute("while true; do x=$((x+1)); done");
    for (let step = 0; step < 100; step++) task.next();
    shell.interrupt();
    const { status } = run(task);
    expect(status).toBe(130);
    expect(Number(sh("echo $x").output)).toBeGreaterThan(10);
  });
});

describe("arithmetic", () => {
  test("addresses above 2^53 keep every bit", () => {
    const { sh } = testShell();
    expect(sh("echo $((0xffe0000000000001 + 1)) $((0x20000000000001 * 2)) $((1 << 63 >> 63))").output).toBe(
      "-9007199254740990 18014398509481986 -1\n",
    );
  });

  test("a branch that isn't taken assigns nothing and divides nothing", () => {
    const { sh } = testShell();
    expect(sh("x=1; echo $((1 ? 2 : (x = 9) / 0)) $((0 && (x = 9))) $((1 || 1 / 0)) $x").output).toBe(
      "2 0 1 1\n",
    );
  });

  test("C and the shell agree on 32-bit expressions", () => {
    const { shell } = testShell();
    const operators = ["+", "-", "*", "&", "|", "^", "<", ">=", "==", "<<", ">>"] as const;
    const small = fc.integer({ min: -1000, max: 1000 });
    fc.assert(
      fc.property(small, fc.constantFrom(...operators), small, (a, operator, b) => {
        const right = operator === "<<" || operator === ">>" ? Math.abs(b) % 20 : b;
        const value = run(shell.execute(`echo $((${a} ${operator} ${right}))`)).output.trim();
        // oxlint-disable-next-line no-eval -- the same expression in another language is the oracle
        const expected = Number((0, eval)(`((${a}) ${operator} (${right})) | 0`));
        expect(Number(value)).toBe(expected);
      }),
      { numRuns: 200 },
    );
  });
});

describe("quoting", () => {
  test("a single-quoted text comes out as it went in", () => {
    const { shell } = testShell();
    const text = fc.string({ unit: "grapheme-ascii" }).filter((value) => !value.includes("'"));
    fc.assert(
      fc.property(text, (value) => {
        expect(run(shell.execute(`x='${value}'; printf %s "$x"`)).output).toBe(value);
      }),
    );
  });

  test("any text is parsed or refused, never a crash", () => {
    const { shell } = testShell();
    const pieces = fc.constantFrom(
      "if ",
      "then ",
      "fi",
      ";",
      "|",
      "&&",
      "$(",
      ")",
      "((",
      "))",
      "${",
      "}",
      "`",
      '"',
      "'",
      "\\",
      "<",
      ">",
      "a",
      "=",
      " ",
      "\n",
      "case ",
      "in ",
      "esac",
      "do ",
      "done",
      "#",
      "$x",
      "!",
      "{ ",
      "1",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 14 }), (words) => {
        const text = words.join("");
        expect(typeof isIncomplete(text)).toBe("boolean");
        expect(run(shell.execute(text, { subshell: true })).status).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 1000 },
    );
  });

  test("a command that goes on in the next line is told from one that is wrong", () => {
    const unfinished = [
      "if true",
      "echo 'a",
      'echo "a',
      "for i in 1; do",
      "echo $(ls",
      "{ echo",
      "a &&",
      "a |",
      "cat <<E\nx",
      "echo \\",
    ];
    expect(unfinished.filter((text) => !isIncomplete(text))).toEqual(["echo \\"]);
    expect(["echo a", "fi", "a;; b", "echo )", "if true; then echo; fi"].filter(isIncomplete)).toEqual([]);
  });
});
