// The charging that docs/ports/page-charging.md builds, described for the kit: accounts in a map, a limit for each, and
// chargeByPayer() around them. A broken charging replaces operations of it, or has broken accounts.
import { chargeByPayer, type PageCharging, type PayerAccounts } from "@hetmem/mm";
import type { ChargingUnderTest } from "../src/page-charging/index.ts";

export const PAYERS = [1, 2] as const;

export class Accounts implements PayerAccounts {
  readonly used: Map<number, number> = new Map();
  readonly slots: Map<number, number> = new Map();
  readonly limits: Map<number, number> = new Map();
  readonly gone: Set<number> = new Set();

  tryCharge(payer: number, pages: number): boolean {
    if (!this.hasRoom(payer, pages)) return false;
    add(this.used, payer, pages);
    return true;
  }

  uncharge(payer: number, pages: number): void {
    add(this.used, payer, -pages);
  }

  tryChargeSwap(payer: number): boolean {
    add(this.slots, payer, 1);
    return true;
  }

  unchargeSwap(payer: number): void {
    add(this.slots, payer, -1);
  }

  isGone(payer: number): boolean {
    return this.gone.has(payer);
  }

  hasRoom(payer: number, pages: number): boolean {
    return this.charged(payer) + pages <= (this.limits.get(payer) ?? Infinity);
  }

  charged(payer: number): number {
    return this.used.get(payer) ?? 0;
  }
}

/** Operations in place of those of chargeByPayer(). */
export type Change = (good: PageCharging, accounts: Accounts) => Partial<PageCharging>;

export function payerCharging(
  name: string,
  change: Change = () => ({}),
  makeAccounts: () => Accounts = () => new Accounts(),
): ChargingUnderTest {
  return {
    name,
    create() {
      const accounts = makeAccounts();
      const good = chargeByPayer(accounts);
      return {
        charging: { ...good, ...change(good, accounts) },
        payers: PAYERS,
        charged: (payer) => accounts.charged(payer),
        slots: (payer) => accounts.slots.get(payer) ?? 0,
        limit: (payer, pages) => void accounts.limits.set(payer, pages),
        remove: (payer) => void accounts.gone.add(payer),
      };
    },
  };
}

export function add(counts: Map<number, number>, key: number, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
