// What /sys of a 6.1 kernel showed of a devdax namespace: names, modes, link targets and texts.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  addNamespace,
  capturedNamespace,
  daxMachine,
  type DaxMachine,
} from "@hetmem/test-machines/dax-machine";

const lines = readFileSync(new URL("../fixtures/devdax-to-system-ram.txt", import.meta.url), "utf8").split(
  "\n",
);

/** The lines between a command and the next. */
function outputOf(prefix: string): string[] {
  const at = lines.findIndex((line) => line.startsWith(`$ ${prefix}`));
  expect(at).toBeGreaterThan(0);
  const end = lines.findIndex((line, i) => i > at && line.startsWith("$ "));
  return lines.slice(at + 1, end);
}

function capturedMachine(): DaxMachine {
  const machine = daxMachine();
  addNamespace(machine, capturedNamespace());
  return machine;
}

/** A line of `ls -la` without owner and time: type and mode, number of links, name, and where it points. */
function listing({ vfs }: DaxMachine, directory: string): string[] {
  return vfs.list(directory).map(({ name, kind, target }) => {
    const { mode, nlink } = vfs.lstat(`${directory}/${name}`);
    const type = { file: "-", directory: "d", link: "l" }[kind];
    const bits = [...mode.toString(2).padStart(9, "0")].map((bit, i) => (bit === "1" ? "rwx"[i % 3] : "-"));
    return `${type}${bits.join("")} ${nlink} ${name}${target === undefined ? "" : ` -> ${target}`}`;
  });
}

/** The same of the captured text, by directory. What the namespace itself has there is not the dax bus's. */
function capturedListings(output: readonly string[]): Map<string, string[]> {
  const listings = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of output) {
    if (/^\/.*:$/.test(line)) listings.set(line.slice(0, -1), (current = []));
    const entry = /^([dl-]\S{9}) +(\d+) .* \d\d:\d\d (.*)$/.exec(line);
    const name = entry?.[3] ?? ".";
    if (entry && name !== "." && name !== "..") current.push(`${entry[1]} ${entry[2]} ${name}`);
  }
  return listings;
}

test("find lists the bus as it does there", () => {
  const { vfs } = capturedMachine();
  const walk = (path: string): string[] => [
    path,
    ...vfs
      .list(path)
      .flatMap(({ name, kind }) => (kind === "directory" ? walk(`${path}/${name}`) : [`${path}/${name}`])),
  ];
  const found = walk("/sys/bus/dax").sort();
  expect(["/sys/bus/dax/", ...found.slice(1)]).toEqual(outputOf("find /sys/bus/dax/"));
});

test("ls -la of the bus's directories gives the same modes and links", () => {
  const machine = capturedMachine();
  const captured = capturedListings(outputOf("ls -la /sys/bus/dax/devices /sys/bus/dax/drivers/*"));
  expect([...captured.keys()]).toEqual([
    "/sys/bus/dax/devices",
    "/sys/bus/dax/drivers/device_dax",
    "/sys/bus/dax/drivers/kmem",
  ]);
  for (const [directory, entries] of captured) expect(listing(machine, directory)).toEqual(entries);
});

test("ls -la of the device and of its region gives the same modes and links", () => {
  const machine = capturedMachine();
  const captured = capturedListings(outputOf("ls -la /sys/devices/LNXSYSTM:00"));
  const [device, , region] = [...captured.keys()];
  expect(listing(machine, device ?? "")).toEqual(captured.get(device ?? ""));
  expect(listing(machine, region ?? "")).toEqual(captured.get(region ?? ""));
});

test("every attribute has the captured text", () => {
  const machine = capturedMachine();
  const captured = outputOf("grep -r . /sys/devices/LNXSYSTM:00");
  const theirs = captured.filter((line) => line.startsWith("/sys/"));
  const paths = new Set(theirs.map((line) => line.replace(/:(?!00|.*\/).*$/, "")));
  expect(paths.size).toBeGreaterThan(15);
  const ours = [...paths].flatMap((path) =>
    machine
      .read(path)
      .split("\n")
      .filter(Boolean)
      .map((text) => `${path}:${text}`),
  );
  expect(ours).toEqual(theirs);
});

test("the node in /dev is root's, with the captured numbers", () => {
  const { vfs } = capturedMachine();
  const [line] = outputOf("ls -la /dev/dax0.0");
  expect(line).toMatch(/^crw------- .* 252, +0 /);
  expect(vfs.stat("/dev/dax0.0")).toMatchObject({ mode: 0o600, device: { major: 252, minor: 0 } });
});
