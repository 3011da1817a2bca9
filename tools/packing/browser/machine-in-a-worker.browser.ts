// The example machine-in-a-worker in a real browser: Debian's Chromium, on the page that `npm start` of the installed example
// serves. Where there is no Chromium the test says so and is skipped.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterEach, expect, inject, test } from "vitest";
import { type ConsoleStep, consoleOf, installExamples } from "../src/example-projects.ts";

const EXAMPLE = "machine-in-a-worker";
const CHROMIUM = "/usr/bin/chromium";
/** Nothing but the page is asked of the network. */
const QUIET = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What a test has started, to be ended in reverse order. */
const started: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of started.splice(0).toReversed()) await end();
});

test("each command of the README prints in a page of Chromium what is shown, and nothing fails there", async ({
  skip,
}) => {
  skip(!existsSync(CHROMIUM), `there is no ${CHROMIUM}: apt-get install chromium`);
  const projects = installExamples([EXAMPLE], inject("tarballs"));
  started.push(() => rmSync(projects, { recursive: true }));
  const address = await serve(join(projects, EXAMPLE));
  const browser = await launch();
  const page = await browser.newPage();
  const failures: string[] = [];
  page.on("pageerror", ({ message }) => failures.push(message));
  page.on("requestfailed", (request) => failures.push(request.url()));
  await page.goto(address);
  await untilReady(page);

  const steps = consoleOf(EXAMPLE);
  expect(steps.length).toBeGreaterThan(3);
  expect(await type(page, steps)).toEqual(steps);
  expect(failures).toEqual([]);
});

/** Starts the example as its README says, on a free port. @returns the address of the page */
async function serve(cwd: string): Promise<string> {
  const server = spawn("npm", ["start", "--", "--serve=127.0.0.1:0"], {
    cwd,
    stdio: ["pipe", "pipe", "pipe"],
  });
  started.push(() => ended(server));
  const lines: string[] = [];
  for await (const line of createInterface(server.stderr)) {
    lines.push(line);
    const [, address] = /Local: +(http:\S+)/.exec(line) ?? [];
    if (address !== undefined) return address;
  }
  throw new Error(`npm start ended: ${lines.join("\n")}`);
}

/** esbuild serves until its input ends. */
async function ended(server: ChildProcess): Promise<void> {
  const exit = new Promise((resolve) => void server.once("exit", resolve));
  server.stdin?.end();
  await exit;
}

/** With a user's data of its own, which is removed at the end. */
async function launch(): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, chromiumSandbox: false, args: QUIET });
  started.push(() => browser.close());
  return browser;
}

/** Types the commands one after the other. @returns them with what each printed */
async function type(page: Page, steps: readonly ConsoleStep[]): Promise<ConsoleStep[]> {
  const printed: ConsoleStep[] = [];
  for (const { command } of steps) {
    const before = await screen(page);
    await page.fill("input", command);
    await page.press("input", "Enter");
    await untilReady(page);
    const shown = (await screen(page)).slice(before.length + `# ${command}\n`.length);
    printed.push({ command, shown });
  }
  return printed;
}

async function untilReady(page: Page): Promise<void> {
  await page.waitForSelector("input:enabled");
}

async function screen(page: Page): Promise<string> {
  return (await page.textContent("#screen")) ?? "";
}
