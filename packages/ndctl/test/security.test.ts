// A module with a passphrase: what is locked can't be used, and what is frozen can't be changed.
import { outcome } from "@hetmem/test-machines/outcome";
import { KernelError, run } from "@hetmem/kernel";
import { expect, test } from "vitest";
import {
  bindNamespace,
  disableDimm,
  enableDimm,
  enableRegion,
  runNfitWork,
  type SecurityKeys,
} from "@hetmem/nvdimm";
import { machine, type NdctlMachine } from "./ndctl-machine.ts";

class Keyring implements SecurityKeys {
  readonly serials = new Map([
    [1, "first"],
    [2, "second"],
  ]);
  found: string | undefined;

  request(): string | undefined {
    return this.found;
  }

  lookup(serial: number): string | undefined {
    return this.serials.get(serial);
  }
}

function secured(): { made: NdctlMachine; keys: Keyring; store: (text: string) => string } {
  const keys = new Keyring();
  const made = machine({ security: true, keys });
  run(made.reconfigure(made.namespace("namespace0.0"), { mode: "devdax", force: true }));
  const store = (text: string): string =>
    outcome(() => run(made.vfs.write("/sys/bus/nd/devices/nmem0/security", text)));
  return { made, keys, store };
}

test("a module without a passphrase is disabled; with one it is locked after a reboot", () => {
  const { made, store } = secured();
  expect(made.listDimm(made.bus.dimm(0))).toMatchObject({ security: "disabled" });
  expect(store("update 0 1\n")).toBe("done");
  expect(made.listDimm(made.bus.dimm(0))).toMatchObject({ security: "unlocked" });
  made.reboot();
  expect(made.listDimm(made.bus.dimm(0))).toMatchObject({ security: "locked" });
});

test("namespaces of a locked module are known, and can be neither used nor changed", () => {
  const { made, store } = secured();
  store("update 0 1");
  made.reboot();
  const namespace = made.namespace("namespace0.0");
  expect(namespace.size).toBeGreaterThan(0);
  expect(made.isActive(namespace)).toBe(false);
  expect(outcome(() => run(bindNamespace(namespace)))).toBe("EACCES");
  expect(outcome(() => run(made.enable(namespace)))).toBe("ENXIO");
  expect(made.mapped).toEqual([]);
  expect(() => run(made.create({ mode: "raw" }))).toThrow(KernelError);
});

test("a module whose passphrase is in the keyring is unlocked when it is enabled", () => {
  const { made, keys, store } = secured();
  store("update 0 1");
  keys.found = "wrong";
  expect(made.listDimm(made.reboot().bus.dimm(0))).toMatchObject({ security: "locked" });
  keys.found = "first";
  const { bus } = made;
  run(made.disableRegion(made.region));
  run(disableDimm(bus, bus.dimm(0)));
  run(enableDimm(bus, bus.dimm(0)));
  run(made.enableRegion(made.region));
  expect(made.namespace("namespace0.0").mode).toBe("dax");
});

test.each([
  ["a word that is none", "open 1", "EINVAL"],
  ["a missing key", "disable", "EINVAL"],
  ["a key that isn't there", "update 0 9", "ENOKEY"],
  ["no key at all for a new passphrase", "update 0 0", "ENOKEY"],
  ["a wrong passphrase", "disable 2", "EINVAL"],
  ["a master passphrase", "master_erase 1", "EOPNOTSUPP"],
  ["an erasure while a region uses it", "erase 0", "EBUSY"],
])("%s is refused", (_what, text, errno) => {
  expect(secured().store(text)).toBe(errno);
});

test("a frozen module takes no change until its power is cycled", () => {
  const { made, store } = secured();
  store("update 0 1");
  store("freeze");
  expect(made.listDimm(made.bus.dimm(0))).toMatchObject({ security: "unlocked", security_frozen: true });
  expect(store("disable 1")).toBe("EIO");
  made.reboot();
  expect(made.media[0]?.frozen).toBe(false);
});

test("erasing takes the contents and the passphrase, and leaves the labels", () => {
  const { made, store } = secured();
  store("update 0 1");
  run(made.disableRegion(made.region));
  expect(store("erase 1")).toBe("done");
  run(made.enableRegion(made.region));
  const namespace = made.namespace("namespace0.0");
  expect([namespace.size, namespace.mode]).toEqual([made.region.size, "raw"]);
  expect(made.media[0]?.security).toBe("disabled");
});

test("a module that is being overwritten keeps its region from being enabled", () => {
  const { made, store } = secured();
  run(made.disableRegion(made.region));
  expect(store("overwrite 0")).toBe("done");
  expect(made.listDimm(made.bus.dimm(0))).toMatchObject({ security: "overwrite" });
  expect(outcome(() => run(enableRegion(made.region)))).toBe("EBUSY");
  expect(outcome(() => run(made.enableRegion(made.region)))).toBe("ENXIO");
  run(runNfitWork(made.bus));
  run(made.enableRegion(made.region));
});
