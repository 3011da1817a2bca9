// Builds and runs native.c, which does to the machine below what the benchmarks do to the model.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** @returns what native.c prints, by name; undefined where there is no C compiler */
export function measureNative() {
  const directory = mkdtempSync(join(tmpdir(), "hetmem-native-"));
  try {
    const program = join(directory, "native");
    execFileSync("cc", ["-O2", "-o", program, fileURLToPath(new URL("native.c", import.meta.url))]);
    const lines = execFileSync(program, { encoding: "utf8" }).trim().split("\n");
    return Object.fromEntries(
      lines.map((line) => line.split(" ")).map(([name, value]) => [name, Number(value)]),
    );
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
