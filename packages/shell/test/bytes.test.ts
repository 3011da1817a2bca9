// Programs whose input and output are bytes: od, dd, md5sum.
import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Md5 } from "../src/md5.ts";
import { testShell } from "./test-shell.ts";

describe("od and dd", () => {
  test.each([
    ["od -An -tx1", "abc", " 61 62 63\n"],
    ["od -tx8 -Ax", "abcdefgh", "000000 6867666564636261\n000008\n"],
    ["od -An -tc", "a\\n", "   a  \\n\n"],
    ["od -An -td2", "\\377\\377", "     -1\n"],
    ["od -Ad -tx1 -j 2 -N 1", "abcd", "0000002 63\n0000003\n"],
    ["od -An -tx1", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", `${" 61".repeat(16)}\n*\n 62\n`],
  ])("%s of %s", (command, text, expected) => {
    const { sh } = testShell();
    expect(sh(`printf '${text}' | ${command}`).stdout).toBe(expected);
  });

  test("od says what it doesn't know", () => {
    const { sh } = testShell();
    expect(sh("od -tz /tmp")).toMatchObject({ output: "od: invalid type string 'z'\n", status: 1 });
    expect(sh("od -tx1 /tmp/none").output).toBe("od: /tmp/none: No such file or directory\n");
  });

  test("dd skips blocks of a file and of standard input", () => {
    const { sh } = testShell();
    sh("printf abcdefgh > /tmp/f");
    expect(sh("dd if=/tmp/f bs=2 skip=1 count=2 2>/dev/null").stdout).toBe("cdef");
    expect(sh("dd if=/tmp/f bs=2 skip=3 2>/dev/null").stdout).toBe("gh");
    expect(sh("printf abcd | dd bs=1 skip=3 2>/dev/null").stdout).toBe("d");
    expect(sh("dd if=/tmp/f bs=4 skip=9 count=1").output).toBe("0+0 records in\n0+0 records out\n");
  });
});

test("MD5 of any bytes, however they come in pieces, is that of another implementation", () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 150 }), { maxLength: 5 });
  fc.assert(
    fc.property(pieces, (parts) => {
      const ours = new Md5();
      const theirs = createHash("md5");
      for (const part of parts) {
        ours.update(part);
        theirs.update(part);
      }
      expect(ours.digest()).toBe(theirs.digest("hex"));
    }),
  );
});
