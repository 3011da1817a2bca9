// What the start of the program costs in processor time, as a multiple of a Node that does nothing: the median of nine pairs. Users are
// promised 110 ms for `--help` and 200 ms for a boot where `node -e 0` takes 62. Build first.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PAIRS = 9;
const HERE = fileURLToPath(new URL("..", import.meta.url));
const PROGRAM = join(HERE, "dist/hetmem.cjs");
const LAPTOP = join(HERE, "fixtures/machines/laptop.yaml");

const folder = mkdtempSync(join(tmpdir(), "hetmem-start-up-"));
const told = join(folder, "told");
/** Loaded before a program: tells the milliseconds of processor time that its process took. */
const teller = join(folder, "teller.cjs");
writeFileSync(
  teller,
  `process.on("exit", () => {
    const { user, system } = process.cpuUsage();
    require("node:fs").writeFileSync(${JSON.stringify(told)}, String((user + system) / 1000));
  });`,
);

/** @param {string[]} args */
function cpuMs(...args) {
  const { status } = spawnSync(process.execPath, ["--require", teller, ...args], { stdio: "ignore" });
  if (status !== 0) throw new Error(`node ${args.join(" ")} ended with ${status}`);
  return Number(readFileSync(told, "utf8"));
}

/** @param {number[]} values */
function median(values) {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

for (const [name, args, limit] of [
  ["hetmem --help", [PROGRAM, "--help"], 110 / 62],
  ["hetmem boot, laptop", [PROGRAM, "boot", "--machine", LAPTOP], 200 / 62],
]) {
  const ratios = Array.from({ length: PAIRS }, () => {
    const idle = cpuMs("-e", "0");
    return cpuMs(...args) / idle;
  });
  console.log(`${name.padEnd(22)} ${median(ratios).toFixed(2)} x node -e 0 (goal ${limit.toFixed(2)})`);
}
rmSync(folder, { recursive: true });
