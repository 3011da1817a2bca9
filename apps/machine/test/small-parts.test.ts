// The examples of docs/ports/small-parts.md do what they say.
import { readFileSync } from "node:fs";
import { GiB, MiB, nodeId, physAddr, run } from "@hetmem/kernel";
import { machineOfYaml } from "@hetmem/machine-spec";
import { DevPagemap, MemoryType } from "@hetmem/memremap";
import { expect, test } from "vitest";
import { programs } from "../examples/free-memory.ts";
import { LateClock } from "../examples/late-clock.ts";
import { pagemaps } from "../examples/whole-sections.ts";
import { createMachine } from "../src/machine.ts";
import { openShell } from "../src/programs/open-shell.ts";

const SPEC = machineOfYaml(
  "nodes: [{ memory: 1G, cpus: 0 }]\ndevices: [{ name: Soft Reserved, start: 8G, size: 1G, node: 0 }]\n",
  "small.yaml",
  "v6.1",
);

test("a machine with a clock of its own logs by it, and after a reboot, too", () => {
  const machine = createMachine(SPEC, { clock: () => new LateClock() });
  machine.reboot();
  expect(run(openShell(machine).execute("dmesg | tail -1")).output).toMatch(/^\[86400\.\d{6}\] /);
});

test("a program of one's own is in the shell and in its help", () => {
  const shell = openShell(createMachine(SPEC, { programs }));
  expect(run(shell.execute("freenodes")).output).toMatch(/^node 0: \d{3} MiB free\n$/);
  expect(run(shell.execute("help | grep freenodes")).output).toContain("free memory of nodes");
});

test("a rule of udev makes RAM of the one that the machine has", () => {
  const machine = createMachine(SPEC, {
    udevRules: [{ device: "dax0.0", run: "daxctl reconfigure-device --mode=system-ram dax0.0" }],
  });
  expect(run(openShell(machine).execute("readlink /sys/bus/dax/devices/dax0.0/driver")).output).toContain(
    "/kmem",
  );
});

test("where a mapping has a GiB to itself, a second one in it is refused", () => {
  const { devices } = createMachine(SPEC, { pagemaps });
  const map = (start: number): void => {
    const ranges = [{ start: physAddr(start), size: 2 * MiB }];
    run(
      devices.pagemaps.memremapPages(
        new DevPagemap({ type: MemoryType.DeviceGeneric, name: "test", ranges }),
        nodeId(0),
      ),
    );
  };
  map(16 * GiB);
  expect(() => map(16 * GiB + 512 * MiB)).toThrow(/^E/);
  map(17 * GiB);
});

test("the page shows the examples", () => {
  const text = readFileSync(new URL("../../../docs/ports/small-parts.md", import.meta.url), "utf8");
  const shown = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block]) => block);
  for (const name of ["late-clock", "free-memory", "whole-sections"])
    expect(shown).toContain(readFileSync(new URL(`../examples/${name}.ts`, import.meta.url), "utf8"));
});
