// A memory module as it lies on the table: its bytes, its label area, its bad cells and its passphrase. All of this survives
// a reboot, and only this; everything else in this package is made anew from it. Kernel counterpart: none, this is the
// hardware and its firmware.
import { alignDown, alignUp, bugOn } from "@hetmem/kernel";
import { RangeSet } from "../errors/range-set.ts";
import { MediaPages, type PersistenceDomain } from "./media-pages.ts";

/** Bytes that go bad, are reported and are cleared together. @see nd_cmd_ars_cap.clear_err_unit */
export const CLEAR_ERROR_UNIT = 256;
/** What QEMU's and Intel's modules have. */
const LABEL_AREA_SIZE = 128 * 1024;

/** How much protection the module's passphrase gives now. @see struct nd_intel_get_security_state */
export type SecurityState = "disabled" | "unlocked" | "locked";

export interface DimmMediaOptions {
  /** Bytes. */
  readonly capacity: number;
  /** Bytes; 0 for a module that has no label area. */
  readonly labelAreaSize?: number;
}

export class DimmMedia {
  readonly capacity: number;
  readonly pages = new MediaPages();
  /** What ND_CMD_GET_CONFIG_DATA reads. */
  readonly labelArea: Uint8Array;
  /** Cells that can't be read any more, whether anybody knows of it or not; by device address. */
  readonly poison = new RangeSet();
  /** Poison that the firmware knows of: from its own scrubs, or because it was injected with a notification. */
  readonly knownPoison = new RangeSet();
  /** What error injection did, until it is cleared. */
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

  /** Whether the passphrase can't be used any more until the next power cycle. */
  get frozen(): boolean {
    return this.#frozen;
  }

  /** Power failures that lost something. */
  get dirtyShutdowns(): number {
    return this.#dirtyShutdowns;
  }

  /** Makes cells unreadable, in whole units. @param size bytes */
  damage(address: number, size: number): void {
    bugOn(address + size > this.capacity, `0x${address.toString(16)}+${size} is outside of the module`);
    this.poison.add(alignDown(address, CLEAR_ERROR_UNIT), alignUp(address + size, CLEAR_ERROR_UNIT));
  }

  /** Makes cells readable again: the platform replaces what was there by zeros. @see ND_CMD_CLEAR_ERROR */
  repair(address: number, size: number): void {
    for (const { start, end } of this.poison.within(address, address + size)) {
      this.pages.store(start, new Uint8Array(end - start));
      this.pages.flush(start, end - start);
    }
    for (const ranges of [this.poison, this.knownPoison, this.injected])
      ranges.remove(address, address + size);
  }

  /** Whether the passphrase is right. A module without one takes the empty one, as the zero key is. */
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

  /** The key is thrown away, and with it everything that was encrypted with it. The label area stays. */
  erase(): void {
    this.pages.erase();
    this.setPassphrase(undefined);
  }

  /** The power comes back after a failure, or after an orderly shutdown, which flushes everything first. */
  powerCycle(domain: PersistenceDomain): void {
    if (this.pages.powerFail(domain)) this.#dirtyShutdowns++;
    this.#locked = this.#passphrase !== undefined;
    this.#frozen = false;
  }
}
