// Writes to a module's `security` file. The memory of a locked module is inaccessible; a frozen module rejects
// security operations until the next power cycle. Kernel counterpart: drivers/nvdimm/security.c, and
// drivers/acpi/nfit/intel.c for the module's responses.
import { KernelError, kstrtoull, type Sleeps } from "@hetmem/kernel";
import type { NvdimmBus } from "../devices/bus.ts";
import { withDeviceLock } from "../devices/device.ts";
import type { Nvdimm } from "../devices/dimm.ts";

/** Operations, and the number of words of each including its name. */
const OPERATIONS = { freeze: 1, disable: 2, update: 3, erase: 2, overwrite: 2 } as const;
type Operation = keyof typeof OPERATIONS;
/** Operations of the file that need a master passphrase, which these modules lack. */
const MASTER_OPERATIONS = ["master_update", "master_erase"];
/** The passphrase of a module without one. */
const ZERO_KEY = "";

/** Content of the file: `disabled`, `unlocked`, `locked` or `overwrite`. @see security_show() */
export function securityText({ media, overwriting }: Nvdimm): string {
  return overwriting ? "overwrite" : media.security;
}

/**
 * Executes a written operation: `freeze`, `disable KEY`, `update OLD NEW`, `erase KEY` or `overwrite KEY`, with keys
 * by serial number.
 *
 * @throws KernelError EINVAL for other words or a wrong passphrase, ENOKEY for an unknown key, EIO when frozen, EBUSY
 * when the module is in use or being overwritten, EOPNOTSUPP without security commands, ENXIO when the module is
 * locked
 * @see security_store(), nvdimm_security_store()
 */
export function* storeSecurity(bus: NvdimmBus, dimm: Nvdimm, text: string): Sleeps<void> {
  yield* bus.waitProbeIdle();
  yield* withDeviceLock(dimm, () => bus.locked(() => runOperation(bus, dimm, text.trim().split(/\s+/))));
}

/**
 * Unlocks a module with the passphrase from the keyring; a wrong one leaves it locked.
 *
 * @see nvdimm_security_unlock()
 */
export function unlockDimm(bus: NvdimmBus, dimm: Nvdimm): void {
  if (!dimm.hasSecurity || dimm.media.security !== "locked") return;
  const passphrase = bus.keys.request(dimm.uniqueId) ?? ZERO_KEY;
  if (dimm.media.accepts(passphrase)) dimm.media.unlock();
}

/** Completes an overwrite. @see nvdimm_security_overwrite_query() */
export function finishOverwrite(dimm: Nvdimm): void {
  if (!dimm.overwriting) return;
  dimm.media.erase();
  dimm.media.labelArea.fill(0);
  dimm.overwriting = false;
  dimm.uevent("change");
}

function runOperation(bus: NvdimmBus, dimm: Nvdimm, [word = "", ...serials]: readonly string[]): void {
  if (MASTER_OPERATIONS.includes(word))
    throw new KernelError("EOPNOTSUPP", `${dimm.name} has no master passphrase`);
  if (!isOperation(word))
    throw new KernelError(
      "EINVAL",
      `"${word}" is no operation: write one of ${Object.keys(OPERATIONS).join(", ")}`,
    );
  const keys = serials.slice(0, OPERATIONS[word] - 1).map(kstrtoull);
  if (keys.length < OPERATIONS[word] - 1)
    throw new KernelError("EINVAL", `${word} wants the serial number of a key`);
  if (!dimm.hasSecurity) throw new KernelError("EOPNOTSUPP", `${dimm.name} has no security commands`);
  if (word === "freeze") return freeze(dimm);
  expectChangeable(dimm, word);
  const [first = 0, second = 0] = keys;
  const passphrase = baseKey(bus, first);
  if (word === "update") return update(dimm, passphrase, newKey(bus, second));
  if (dimm.media.security === "locked")
    throw new KernelError("ENXIO", `${dimm.name} is locked: enable it first`);
  expectRight(dimm, passphrase);
  if (word === "disable") dimm.media.setPassphrase(undefined);
  else if (word === "erase") dimm.media.erase();
  else {
    dimm.overwriting = true;
    bus.work.schedule();
  }
}

/** @see nvdimm_security_freeze() */
function freeze(dimm: Nvdimm): void {
  if (dimm.overwriting) throw new KernelError("EBUSY", `${dimm.name} is being overwritten`);
  dimm.media.freeze();
}

function update(dimm: Nvdimm, old: string, passphrase: string): void {
  if (dimm.media.security === "locked")
    throw new KernelError("EIO", `${dimm.name} is locked: enable it first`);
  expectRight(dimm, old);
  dimm.media.setPassphrase(passphrase);
}

/** @see check_security_state() */
function expectChangeable(dimm: Nvdimm, operation: Operation): void {
  if (dimm.media.frozen)
    throw new KernelError("EIO", `the security of ${dimm.name} is frozen: cycle its power`);
  if (dimm.overwriting) throw new KernelError("EBUSY", `${dimm.name} is being overwritten`);
  if ((operation === "erase" || operation === "overwrite") && dimm.busy > 0)
    throw new KernelError("EBUSY", `${dimm.name} is in use: disable its regions first`);
}

function expectRight(dimm: Nvdimm, passphrase: string): void {
  if (!dimm.media.accepts(passphrase))
    throw new KernelError("EINVAL", `that is not the passphrase of ${dimm.name}`);
}

/** @see nvdimm_get_user_key_payload() */
function baseKey(bus: NvdimmBus, serial: number): string {
  return serial === 0 ? ZERO_KEY : newKey(bus, serial);
}

function newKey(bus: NvdimmBus, serial: number): string {
  const key = serial === 0 ? undefined : bus.keys.lookup(serial);
  if (key === undefined) throw new KernelError("ENOKEY", `there is no key ${serial} for a passphrase`);
  return key;
}

function isOperation(word: string): word is Operation {
  return word in OPERATIONS;
}
