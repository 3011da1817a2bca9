import { outcome } from "@hetmem/test-machines/outcome";
import { type Errno, KernelBug, run } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import { type AttributeTable, Vfs } from "../src/index.ts";
import { smallMachine } from "./machine-tables.ts";

const MEMORY = "/sys/devices/system/memory";

const show = (): string => "";

const names = (vfs: Vfs, path: string): string[] => vfs.list(path).map(({ name }) => name);

describe("what tables say is what the tree holds", () => {
  test("a file shows the text of its own instance", () => {
    const { vfs, blocks } = smallMachine();
    blocks.states.set("8", "offline");
    expect(run(vfs.read(`${MEMORY}/memory8/state`))).toBe("offline\n");
    expect(run(vfs.read(`${MEMORY}/memory32/state`))).toBe("online\n");
  });

  test("a show that sleeps is driven by the reader", () => {
    const { vfs } = smallMachine();
    expect(run(vfs.read(`${MEMORY}/memory8/valid_zones`))).toBe("Normal Movable\n");
  });

  test("a block that comes is listed and one that goes is gone", () => {
    const { vfs, blocks } = smallMachine(["0"]);
    expect(names(vfs, MEMORY)).toEqual(["block_size_bytes", "memory0", "power", "probe"]);
    blocks.states.set("33", "offline");
    blocks.states.delete("0");
    expect(names(vfs, MEMORY)).toEqual(["block_size_bytes", "memory33", "power", "probe"]);
    expect(outcome(() => vfs.stat(`${MEMORY}/memory0`))).toBe("ENOENT");
  });

  test("names are sorted bytewise, so memory10 comes before memory8", () => {
    const { vfs } = smallMachine();
    expect(names(vfs, `${MEMORY}`).filter((name) => name.startsWith("memory"))).toEqual([
      "memory0",
      "memory1",
      "memory10",
      "memory32",
      "memory8",
    ]);
  });

  test("instances know the values before them", () => {
    const { vfs } = smallMachine();
    expect(names(vfs, "/sys/devices/system/node/node0")).toEqual([
      "compact",
      "distance",
      "memory0",
      "memory1",
    ]);
    expect(names(vfs, `${MEMORY}/memory8`)).toEqual(["node1", "power", "state", "subsystem", "valid_zones"]);
  });

  test("a store gets the text of each write, newline included", () => {
    const { vfs, blocks } = smallMachine();
    const file = vfs.open(`${MEMORY}/memory8/state`, "write");
    run(file.write("offline\n"));
    run(file.write("online"));
    run(file.write(""));
    expect(blocks.stored).toEqual(["8:offline\n", "8:online"]);
  });

  test("two tables may have files in one directory", () => {
    const { vfs } = smallMachine(["0", "1"]);
    vfs.mount({
      root: MEMORY,
      instances: { block: () => ["1"] },
      files: { "memory{block}/altmap": { show: () => "1\n" }, "memory1/special": { show: () => "!\n" } },
    });
    expect(names(vfs, `${MEMORY}/memory1`)).toContain("altmap");
    expect(run(vfs.read(`${MEMORY}/memory1/special`))).toBe("!\n");
    expect(names(vfs, `${MEMORY}/memory0`)).not.toContain("altmap");
    expect(names(vfs, MEMORY).filter((name) => name === "memory1")).toHaveLength(1);
  });

  test("two parameters in one name are told apart", () => {
    const vfs = new Vfs();
    vfs.mount({
      root: "/sys/bus/dax/devices",
      instances: { region: () => ["1", "11"], id: ({ region }) => (region === "1" ? ["0"] : ["0", "1"]) },
      files: { "dax{region}.{id}/size": { show: ({ region, id }) => `${region},${id}` } },
    });
    expect(run(vfs.read("/sys/bus/dax/devices/dax11.1/size"))).toBe("11,1");
    expect(outcome(() => vfs.stat("/sys/bus/dax/devices/dax1.1"))).toBe("ENOENT");
    expect(names(vfs, "/sys/bus/dax/devices")).toEqual(["dax1.0", "dax11.0", "dax11.1"]);
  });

  test("exists is asked in place of the whole list", () => {
    let listed = 0;
    const vfs = new Vfs();
    vfs.mount({
      root: "/sys/b",
      instances: { n: () => (listed++, ["1", "2"]) },
      exists: { n: (value) => value === "1" || value === "2" },
      files: { "m{n}": { show: ({ n = "" }) => n } },
    });
    expect(run(vfs.read("/sys/b/m2"))).toBe("2");
    expect(outcome(() => vfs.stat("/sys/b/m3"))).toBe("ENOENT");
    expect(listed).toBe(0);
  });
});

describe("mounting", () => {
  test("a pattern that is there already is EEXIST and nothing of the table is mounted", () => {
    const { vfs } = smallMachine();
    const table: AttributeTable = {
      root: MEMORY,
      files: { fresh: { show: () => "" }, probe: { store: () => {} } },
    };
    expect(outcome(() => vfs.mount(table))).toBe("EEXIST");
    expect(names(vfs, MEMORY)).not.toContain("fresh");
  });

  test("a file can't be where a directory is, nor a directory below a file", () => {
    const { vfs } = smallMachine();
    expect(outcome(() => vfs.mount({ root: MEMORY, files: { power: { show: () => "" } } }))).toBe("EEXIST");
    expect(outcome(() => vfs.mount({ root: `${MEMORY}/probe`, files: { x: { show: () => "" } } }))).toBe(
      "EEXIST",
    );
  });

  test("a parameter without instances is a bug of the table", () => {
    expect(() => new Vfs().mount({ root: "/sys", files: { "a{b}": { show: () => "" } } })).toThrow(KernelBug);
  });
});

describe("what the calls answer", () => {
  const { vfs } = smallMachine();
  const cases: [string, () => unknown, Errno][] = [
    ["reading a name that isn't there", () => run(vfs.read(`${MEMORY}/nosuch`)), "ENOENT"],
    ["reading below a file", () => run(vfs.read(`${MEMORY}/probe/x`)), "ENOTDIR"],
    ["a slash behind a file", () => run(vfs.read(`${MEMORY}/block_size_bytes/`)), "ENOTDIR"],
    ["reading a directory", () => run(vfs.read(MEMORY)), "EISDIR"],
    ["writing a directory", () => run(vfs.write(MEMORY, "x")), "EISDIR"],
    ["reading a file that can only be written", () => run(vfs.read(`${MEMORY}/probe`)), "EACCES"],
    [
      "writing a file that can only be read",
      () => run(vfs.write(`${MEMORY}/block_size_bytes`, "1")),
      "EACCES",
    ],
    ["writing a file that isn't there", () => run(vfs.write("/tmp/x", "1")), "ENOENT"],
    ["creating a file in sysfs", () => vfs.open(`${MEMORY}/new`, "write"), "EACCES"],
    ["creating a file in a directory that isn't there", () => vfs.open("/nosuch/new", "write"), "ENOENT"],
    ["listing a file", () => vfs.list(`${MEMORY}/probe`), "ENOTDIR"],
    ["readlink of a file", () => vfs.readlink(`${MEMORY}/probe`), "EINVAL"],
    ["following a link that leads nowhere", () => vfs.stat(`${MEMORY}/memory0/subsystem`), "ENOENT"],
    ["removing a rendered file", () => vfs.unlink(`${MEMORY}/probe`), "EPERM"],
  ];
  test.each(cases)("%s", (_, action, errno) => {
    expect(outcome(action)).toBe(errno);
  });

  test("a read-only file of proc opens for root and refuses the write with EIO", () => {
    const proc = new Vfs();
    proc.mount({ root: "/proc", files: { zoneinfo: { show: () => "Node 0\n" } } });
    const file = proc.open("/proc/zoneinfo", "write");
    expect(outcome(() => run(file.write("x")))).toBe("EIO");
    expect(outcome(() => proc.open("/proc/nosuch", "write"))).toBe("ENOENT");
  });

  test("the sentence of an error names the path", () => {
    expect(() => run(vfs.read(`${MEMORY}/nosuch`))).toThrow(
      `${MEMORY}/nosuch: there is no nosuch in ${MEMORY}`,
    );
  });
});

describe("links", () => {
  test("a link is followed relative to its own directory", () => {
    const { vfs } = smallMachine();
    expect(run(vfs.read(`${MEMORY}/memory8/node1/distance`))).toBe("21 10\n");
    expect(vfs.realpath(`${MEMORY}/memory8/node1`)).toBe("/sys/devices/system/node/node1");
  });

  test("dot dot behind a link is the parent of where it leads", () => {
    const { vfs } = smallMachine();
    expect(run(vfs.read(`${MEMORY}/memory8/node1/../online`))).toBe("0-1\n");
    expect(vfs.realpath(`${MEMORY}/memory8/../../../../../../..`)).toBe("/");
  });

  test("lstat and readlink see the link, stat sees what it leads to", () => {
    const { vfs } = smallMachine();
    const link = "/sys/devices/system/node/node0/memory1";
    expect(vfs.lstat(link)).toMatchObject({ kind: "link", mode: 0o777 });
    expect(vfs.stat(link).kind).toBe("directory");
    expect(vfs.readlink(link)).toBe("../../memory/memory1");
    expect(vfs.lstat(`${link}/`).kind).toBe("directory");
  });

  test("links that lead to each other end in ELOOP", () => {
    const vfs = new Vfs();
    vfs.mount({ root: "/sys", links: { a: () => "b", b: () => "a" } });
    expect(outcome(() => vfs.stat("/sys/a"))).toBe("ELOOP");
    expect(vfs.lstat("/sys/a").kind).toBe("link");
  });
});

describe("stat", () => {
  test("modes follow from show and store", () => {
    const { vfs } = smallMachine();
    expect(vfs.stat(`${MEMORY}/block_size_bytes`)).toEqual({
      kind: "file",
      mode: 0o444,
      size: 4096,
      nlink: 1,
      blocks: 0,
    });
    expect(vfs.stat(`${MEMORY}/probe`).mode).toBe(0o200);
    expect(vfs.stat(`${MEMORY}/memory0/state`).mode).toBe(0o644);
  });

  test("a directory has two links and one a subdirectory, as the captured `ls -la` counts them", () => {
    const { vfs } = smallMachine();
    expect(vfs.stat(`${MEMORY}/memory0`).nlink).toBe(3);
    expect(vfs.stat(MEMORY).nlink).toBe(2 + 5 + 1);
  });

  test("a file of proc has no size and its directory can't be written", () => {
    const vfs = new Vfs();
    vfs.mount({ root: "/proc", files: { iomem: { mode: 0o400, show: () => "" } } });
    expect(vfs.stat("/proc/iomem")).toMatchObject({ size: 0, mode: 0o400 });
    expect(vfs.stat("/proc").mode).toBe(0o555);
  });
});

describe("readdir", () => {
  test("sysfs gives names by the kernfs hash, in the order of the captured `grep -r`", () => {
    const vfs = new Vfs();
    vfs.mount({ root: "/sys/dax_region", files: { align: { show }, id: { show }, size: { show } } });
    expect(vfs.readdir("/sys/dax_region").map(({ name }) => name)).toEqual(["id", "align", "size"]);
  });

  test("proc gives short names first", () => {
    const vfs = new Vfs();
    vfs.mount({
      root: "/proc",
      files: { zoneinfo: { show }, vmstat: { show }, iomem: { show }, meminfo: { show } },
    });
    expect(vfs.readdir("/proc").map(({ name }) => name)).toEqual(["iomem", "vmstat", "meminfo", "zoneinfo"]);
  });
});
