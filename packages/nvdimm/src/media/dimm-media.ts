// The hardware state of a memory module: contents, label area, bad cells, passphrase. Only this state survives a
// reboot; everything else in this package is rebuilt from it. Kernel counterpart: none, this is the hardware and its
// firmware.
import { alignDown, alignUp, bugOn } from "@hetmem/kernel";
import { RangeSet } from "../errors/range-set.ts";
import { MediaPages, type PersistenceDomain } from "./media-pages.ts";

/** Granularity in bytes in which errors occur, are reported and are cleared. @see nd_cmd_ars_cap.clear_err_unit */
export const CLEAR_ERROR_UNIT = 256;
/** Bytes of the label area of QEMU's and Intel's modules. */
const LABEL_AREA_SIZE = 128 * 1024;

/** Security state of a module. @see struct nd_intel_get_security_state */
export type SecurityState = "disabled" | "unlocked" | "locked";

export interface DimmMediaOptions {
  /** Bytes. */
  readonly capacity: number;
  /** Bytes; 0 for a module without a label area. */
  readonly labelAreaSize?: number;
}

export class DimmMedia {
  readonly capacity: number;
  readonly pages = new MediaPages();
  /** The bytes that ND_CMD_GET_CONFIG_DATA reads. */
  readonly labelArea: Uint8Array;
  /** Unreadable cells, known or not, by device address. */
  readonly poison = new RangeSet();
  /** Poison known to the firmware: from scrubs, or injected with notification. */
  readonly knownPoison = new RangeSet();
  /** Injected errors that haven't been cleared. */
  readonly injected = new RangeSet();
  #passphrase: string | undefined;
  #locked = false;
  #frozen = false;
  #dirtyShutdowns = 0;

  constructor({ capacity, labelAreaSize = LABEL_AREA_SIZE }: DimmMediaOptions) {
    this.capacity = capacity;
    this.labelArea = new Uint8Array(labelAreaSize);
  }

  get security(): SecurityState {
    if (this.#passphrase === undefined) return "disabled";
    return this.#locked ? "locked" : "unlocked";
  }

  /** Whether security operations are blocked until the next power cycle. */
  get frozen(): boolean {
    return this.#frozen;
  }

  /** Number of power failures with lost data. */
  get dirtyShutdowns(): number {
    return this.#dirtyShutdowns;
  }

  /** Makes cells unreadable, in whole clear-error units. @param size bytes */
  damage(address: number, size: number): void {
    bugOn(address + size > this.capacity, `0x${address.toString(16)}+${size} is outside of the module`);
    this.poison.add(alignDown(address, CLEAR_ERROR_UNIT), alignUp(address + size, CLEAR_ERROR_UNIT));
  }

  /** Makes cells readable again; they read as zeros. @see ND_CMD_CLEAR_ERROR */
  repair(address: number, size: number): void {
    for (const { start, end } of this.poison.within(address, address + size)) {
      this.pages.store(start, new Uint8Array(end - start));
      this.pages.flush(start, end - start);
    }
    for (const ranges of [this.poison, this.knownPoison, this.injected])
      ranges.remove(address, address + size);
  }

  /** Whether a passphrase is correct. A module without one accepts the empty passphrase, the zero key. */
  accepts(passphrase: string): boolean {
    return passphrase === (this.#passphrase ?? "");
  }

  setPassphrase(passphrase: string | undefined): void {
    this.#passphrase = passphrase;
    this.#locked = false;
  }

  unlock(): void {
    this.#locked = false;
  }

  freeze(): void {
    this.#frozen = true;
  }

  /** Secure erase: discards the encryption key, so the contents are lost. The label area stays. */
  erase(): void {
    this.pages.erase();
    this.setPassphrase(undefined);
  }

  /** A power cycle. For an orderly shutdown, which flushes everything, `domain` is "cpu_cache". */
  powerCycle(domain: PersistenceDomain): void {
    if (this.pages.powerFail(domain)) this.#dirtyShutdowns++;
    this.#locked = this.#passphrase !== undefined;
    this.#frozen = false;
  }
}
