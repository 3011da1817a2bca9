// What processes write to a dax device lies on the modules: there it is after the driver, the process, the namespace's mode
// and the machine have changed, but for what was still in the caches when the power failed.
import { MiB, run } from "@hetmem/kernel";
import { describe, expect, test } from "vitest";
import { DaxSeat, devdaxSeat, SOFT_RESERVED, UNBIND_AND_BIND } from "./dax-seat.ts";

describe.each(["mem", "dev"] as const)("what a process wrote to a device with struct pages in %s", (map) => {
  test("is there for the next process when it has ended, and the driver has let go", () => {
    const seat = devdaxSeat(map);
    seat.proc("write", 4090, "across two pages");
    seat.sh(`kill $P; ${UNBIND_AND_BIND}`);
    seat.map();
    expect(seat.read(4090, 16)).toBe("across two pages");
  });

  test("is there after a reboot, flushed or not, and so is the namespace", () => {
    const seat = devdaxSeat(map);
    seat.proc("write", 3 * MiB, "kept");
    const before = seat.sh("ndctl list");
    seat.sh("reboot");
    expect(seat.sh("ndctl list")).toBe(before);
    seat.map();
    expect(seat.read(3 * MiB, 4)).toBe("kept");
  });

  test("is what the namespace's sectors hold, and what these are given is what a process reads", () => {
    const seat = devdaxSeat(map);
    seat.proc("write", 512, "by a process");
    const sector = seat.sectorOf(512);
    seat.sh("kill $P; ndctl destroy-namespace -f namespace0.0; ndctl create-namespace -m raw");
    const { disk } = seat.namespace;
    if (!disk) throw new Error("a raw namespace is a disk");
    const bytes = new Uint8Array(512);
    run(disk.read(sector, bytes));
    expect(Buffer.from(bytes.subarray(0, 12)).toString()).toBe("by a process");
    run(disk.write(sector, bytes.fill(0x41)));
    seat.sh(`ndctl destroy-namespace -f namespace0.0; ndctl create-namespace -m devdax -M ${map}`);
    seat.map();
    expect(seat.read(512, 12)).toBe("AAAAAAAAAAAA");
  });
});

describe("after a power failure", () => {
  test.each([
    ["write queue (ADR)", "memory_controller", "what a process flushed", ["....", "safe"]],
    ["caches (eADR)", "cpu_cache", "all that a process wrote", ["lost", "safe"]],
  ])("a platform that saves its %s keeps %3$s", (_, domain, _what, left) => {
    const seat = devdaxSeat("mem", domain);
    seat.proc("write", 0, "lost");
    seat.proc("write", 64, "safe");
    expect(seat.proc("flush", 64, 4)).toBe("");
    expect([seat.read(0, 4), seat.read(64, 4)]).toEqual(["lost", "safe"]);
    seat.machine.powerFail();
    seat.map();
    expect([seat.read(0, 4), seat.read(64, 4)]).toEqual(left);
  });

  test("a device is as large as it was, with struct pages where they were", () => {
    const seat = devdaxSeat("dev");
    const before = seat.sh("ndctl list; daxctl list");
    seat.machine.powerFail();
    expect(seat.sh("ndctl list; daxctl list")).toBe(before);
  });
});

test("bad cells are SIGBUS to a process, also after a reboot, and what lies beside them is as it was", () => {
  const seat = devdaxSeat();
  seat.proc("write", 8191, "ab");
  seat.sh("kill $P; ndctl inject-error namespace0.0 --block=8 --count=1; reboot");
  seat.map();
  expect(seat.read(8192, 1)).toBe("b");
  expect(seat.proc("read", 4096, 1)).toMatch(/^Bus error/);
});

test("RAM that was made of persistent memory leaves on it what programs wrote, for who makes a device of it again", () => {
  const seat = devdaxSeat();
  seat.sh("kill $P; daxctl reconfigure-device -m system-ram dax0.0");
  seat.sh("P=$(proc start app); A=$(proc mmap $P 4M); proc mbind $P $A 4M bind 1");
  seat.proc("write", 4096, "secret");
  expect(pagesThatBegin(seat, "secret")).toBe(1);
  seat.sh("kill $P; daxctl reconfigure-device -f -m devdax dax0.0; reboot");
  expect(seat.sh("daxctl list")).toContain('"mode":"devdax"');
  expect(pagesThatBegin(seat, "secret")).toBe(1);
});

test("memory that is set aside keeps what processes wrote while drivers come and go, and loses it in a reboot", () => {
  const seat = new DaxSeat(SOFT_RESERVED);
  seat.map();
  seat.proc("write", 0, "volatile");
  seat.sh(`kill $P; ${UNBIND_AND_BIND}`);
  seat.map();
  expect(seat.read(0, 8)).toBe("volatile");
  seat.sh("reboot");
  seat.map();
  expect(seat.read(0, 8)).toBe("........");
});

/** Pages of the modules that begin with a text. */
function pagesThatBegin({ namespace: { region } }: DaxSeat, text: string): number {
  const bytes = new Uint8Array(text.length);
  let found = 0;
  for (const { media, dpa } of region.extents(region.start, region.size)) {
    media.pages.read(dpa, bytes);
    if (Buffer.from(bytes).toString("latin1") === text) found++;
  }
  return found;
}
