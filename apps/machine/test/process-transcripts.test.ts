// Sessions with processes, as they were recorded on this machine and read by a person: every byte of every answer.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { createMachine } from "../src/machine.ts";
import { machineOfYaml, type ProfileName } from "@hetmem/machine-spec";
import { Shell, explanationOf } from "@hetmem/shell";
import { replayTranscript } from "@hetmem/transcript";
import { PROGRAMS } from "../src/programs/index.ts";

const FIXTURES = fileURLToPath(new URL("../fixtures", import.meta.url));
const SESSIONS = `${FIXTURES}/transcripts/processes`;

/** The machine that the first line of a session names. */
function shellFor(session: string): Shell {
  const [, file = "", profile] = /^Recorded on (\S+) with the profile (v\d+\.\d+)\./.exec(session) ?? [];
  const text = readFileSync(`${FIXTURES}/machines/${file}`, "utf8");
  const shell = new Shell(createMachine(machineOfYaml(text, file, profile as ProfileName)), PROGRAMS);
  shell.explainWith(explanationOf);
  return shell;
}

test.each(readdirSync(SESSIONS))("the session %s goes as it is written down", (file) => {
  const session = readFileSync(`${SESSIONS}/${file}`, "utf8");
  expect(replayTranscript(shellFor(session), session, { name: file, masks: [] }).diff).toBe("");
});

test("the README's session is one of them", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [, shown = ""] = /```console\n(.*?)```/s.exec(readme) ?? [];
  expect(readFileSync(`${SESSIONS}/readme.txt`, "utf8")).toBe(
    shown.replace(/^/, "Recorded on ram-ends-at-4g.yaml with the profile v6.1.\n"),
  );
});
