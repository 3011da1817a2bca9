import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { BUNDLED_CAPTURES } from "@hetmem/host-capture/node";
import { hetmem } from "./hetmem-program.ts";

const MACHINES = fileURLToPath(new URL("../fixtures/machines/", import.meta.url));
const BUNDLED = [
  ...readdirSync(MACHINES).map((file) => ["--machine", `${MACHINES}${file}`]),
  ...Object.values(BUNDLED_CAPTURES).map((file) => ["--from", file]),
];

/** The lines to type below "Next", without what they are for. */
async function nextOf(choice: readonly string[]): Promise<string[]> {
  const { out } = await hetmem("boot", ...choice);
  const lines = out.slice(out.indexOf("\nNext\n") + 6).split("\n");
  return lines.map((line) => line.replace(/ +# .*$/, "")).filter((line) => line !== "");
}

describe("what a bundled machine says to type next", () => {
  test.each(BUNDLED.map((choice) => [choice[1]?.split("/").at(-1), choice] as const))(
    "%s: each line works as it stands",
    async (_name, choice) => {
      const lines = await nextOf(choice);
      const typed = lines.filter((line) => line.startsWith("  "));
      const commands = lines.filter((line) => !line.startsWith("  "));
      const shell = commands.find((line) => line.startsWith("hetmem sh ")) ?? "";
      const checked = typed.map((line) => `${line.trim()} || echo failed: "$?"`).join("\n");
      const session = await hetmem(...shell.split(" ").slice(1), "-c", checked);
      expect(session).toMatchObject({ status: 0, err: "" });
      expect(session.out).not.toContain("failed");
      for (const command of commands.filter((line) => line.startsWith("hetmem plan ")))
        expect(await hetmem(...command.split(" ").slice(1)), command).toMatchObject({ status: 0, err: "" });
    },
  );

  test("a device can be planned, a gpu can run, hidden memory can be probed, and nothing else is promised", async () => {
    const pmem = (await nextOf(["--machine", `${MACHINES}server-pmem.yaml`])).join("\n");
    expect(pmem).toMatch(/^hetmem plan dax1\.0 --machine/);
    expect(pmem).not.toContain("/probe");
    expect((await nextOf(["--machine", `${MACHINES}two-gpus.yaml`])).join("\n")).toContain("gpu run gpu0");
    const laptop = (await nextOf(["--machine", `${MACHINES}laptop.yaml`]))
      .join("\n")
      .replaceAll(MACHINES, "");
    expect(laptop).not.toMatch(/plan|probe|gpu/);
    expect((await nextOf(["--from", BUNDLED_CAPTURES["hidden-ram"]])).join("\n")).toContain("/probe");
  });

  test("the folder that it exports to can be read", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hetmem-next-"));
    const [command = ""] = (await nextOf(["--machine", `${MACHINES}laptop.yaml`])).filter((line) =>
      line.startsWith("hetmem export "),
    );
    const words = (command.split(" && ")[0] ?? "").replace("DIR", join(folder, "new")).split(" ");
    expect(await hetmem(...words.slice(1))).toMatchObject({ status: 0, err: "" });
    rmSync(folder, { recursive: true });
  });
});
