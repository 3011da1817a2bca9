import { assertInvariants } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createIomem,
  createIoports,
  formatIomem,
  insertResource,
  insertResourceConflict,
  IORES_DESC_ACPI_TABLES,
  IORES_DESC_NONE,
  IORES_DESC_PERSISTENT_MEMORY,
  IORES_DESC_RESERVED,
  IORESOURCE_BUSY,
  IORESOURCE_MEM,
  IORESOURCE_SYSRAM_DRIVER_MANAGED,
  IORESOURCE_SYSTEM_RAM,
  parseIomem,
  requestRegion,
  Resource,
  resourceInvariants,
} from "../src/index.ts";
import { capture, named } from "./trees.ts";

const errno = (name: string) => expect.objectContaining({ errno: name });
const BUSY_RAM = IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY;

describe("/proc/iomem", () => {
  test.each(["baseline", "hidden-ram", "nvdimm"] as const)(
    "a captured file comes back byte for byte (%s)",
    (name) => {
      const tree = parseIomem(capture(name));
      assertInvariants(tree, resourceInvariants);
      expect(formatIomem(tree, { privileged: true })).toBe(capture(name));
    },
  );

  test("the unprivileged reader gets the same lines with zeros", () => {
    const hidden = formatIomem(parseIomem(capture("nvdimm")), { privileged: false });
    expect(hidden).toBe(capture("nvdimm").replaceAll(/[0-9a-f]+-[0-9a-f]+ :/g, "00000000-00000000 :"));
    expect(() => parseIomem(hidden)).toThrow(errno("EPERM"));
  });

  test("addresses have eight digits or as many as they need, ports four", () => {
    const tree = createIomem();
    requestRegion(tree, 0, 2 ** 40, "wide");
    expect(formatIomem(tree, { privileged: true })).toBe("00000000-ffffffffff : wide\n");
    const ports = createIoports();
    requestRegion(ports, 0x3f8, 8, "serial");
    expect(formatIomem(ports, { privileged: true })).toBe("03f8-03ff : serial\n");
    expect(formatIomem(ports, { privileged: false })).toBe("0000-0000 : serial\n");
    expect(formatIomem(parseIomem("03f8-03ff : serial\n", createIoports()), { privileged: true })).toBe(
      "03f8-03ff : serial\n",
    );
  });

  test("what lies deeper than five levels is printed at the fifth, and comes back to its own level", () => {
    const tree = createIomem();
    for (let level = 7; level >= 0; level--)
      insertResource(tree, new Resource({ name: `${level}`, start: 0, end: 0xff - level }));
    insertResource(tree, new Resource({ name: "7b", start: 0xf9, end: 0xf9 }));
    const text = formatIomem(tree, { privileged: true });
    expect(text.split("\n").map((line) => line.search(/\S/))).toEqual([0, 2, 4, 6, 8, 10, 10, 10, 10, -1]);
    expect(nesting(parseIomem(text))).toEqual(nesting(tree));
  });

  test("any tree comes back from its text, its shape and its lines", () => {
    const resource = fc.record({
      start: fc.nat(400),
      size: fc.integer({ min: 1, max: 300 }),
      name: fc.constantFrom("System RAM", "Reserved", "dax0.0", "0000:00:01.0", "a : b", ""),
    });
    fc.assert(
      fc.property(fc.array(resource, { maxLength: 25 }), (resources) => {
        const tree = createIomem();
        for (const { start, size, name } of resources) {
          insertResourceConflict(tree, new Resource({ name, start: start + 1, end: start + size }));
        }
        const text = formatIomem(tree, { privileged: true });
        const again = parseIomem(text);
        assertInvariants(again, resourceInvariants);
        expect(nesting(again)).toEqual(nesting(tree));
        expect(formatIomem(again, { privileged: true })).toBe(text);
      }),
    );
  });

  test.each([
    ["something else", "MemTotal: 12 kB\n", "line 1"],
    ["an odd indent", "00000000-00000fff : a\n 00000000-000000ff : b\n", "line 2"],
    ["a level left out", "00000000-00000fff : a\n    00000000-000000ff : b\n", "line 2 is indented by 2"],
    ["an end before the start", "00000fff-00000000 : a\n", "ends before it starts"],
    ["a child outside its parent", "00000000-00000fff : a\n  00000000-00001fff : b\n", "is not inside a"],
    ["siblings that overlap", "00000000-00000fff : a\n00000fff-00001fff : b\n", "does not come after a"],
  ])("%s is refused with EINVAL, which names the line", (_, text, sentence) => {
    expect(() => parseIomem(text)).toThrow(errno("EINVAL"));
    expect(() => parseIomem(text)).toThrow(sentence);
  });
});

describe("flags told from names", () => {
  const host = parseIomem(capture("baseline"));

  test.each([
    ["System RAM", BUSY_RAM, IORES_DESC_NONE],
    ["Kernel code", BUSY_RAM, IORES_DESC_NONE],
    ["Persistent Memory", IORESOURCE_MEM, IORES_DESC_PERSISTENT_MEMORY],
    ["namespace0.0", IORESOURCE_MEM | IORESOURCE_BUSY, IORES_DESC_PERSISTENT_MEMORY],
    ["pnp 00:05", IORESOURCE_MEM, IORES_DESC_RESERVED],
    ["System ROM", IORESOURCE_MEM | IORESOURCE_BUSY, IORES_DESC_NONE],
    ["0000:00:03.0", IORESOURCE_MEM, IORES_DESC_NONE],
    ["virtio-pci-modern", IORESOURCE_MEM | IORESOURCE_BUSY, IORES_DESC_NONE],
    ["HPET 0", IORESOURCE_MEM, IORES_DESC_NONE],
  ])("%s", (name, flags, desc) => {
    const resource = named(host, name);
    expect(resource.flags & (IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY)).toBe(flags);
    expect(resource.desc).toBe(desc);
  });

  test("what is reserved is busy below 1 MiB only", () => {
    const reserved = host.children.filter(({ desc }) => desc === IORES_DESC_RESERVED);
    expect(reserved.map(({ flags, end }) => [(flags & IORESOURCE_BUSY) !== 0, end < 0x100000])).toEqual([
      ...Array.from({ length: 3 }, () => [true, true]),
      ...Array.from({ length: 4 }, () => [false, false]),
    ]);
    expect(named(parseIomem(capture("hidden-ram")), "ACPI Tables").desc).toBe(IORES_DESC_ACPI_TABLES);
  });

  test("kmem's device is RAM without being busy, and what it added is its driver's", () => {
    const text = [
      "100000000-13fffffff : Persistent Memory",
      "  100000000-1011fffff : namespace0.0",
      "  108000000-13fffffff : dax0.0",
      "    108000000-13fffffff : System RAM (kmem)",
    ];
    const tree = parseIomem(`${text.join("\n")}\n`);
    expect(named(tree, "dax0.0")).toMatchObject({
      flags: IORESOURCE_SYSTEM_RAM,
      desc: IORES_DESC_PERSISTENT_MEMORY,
    });
    expect(named(tree, "System RAM (kmem)").flags).toBe(BUSY_RAM | IORESOURCE_SYSRAM_DRIVER_MANAGED);
  });
});

function nesting(resource: Resource): unknown[] {
  return resource.children.map((child) => [child.name, child.start, child.end, nesting(child)]);
}
