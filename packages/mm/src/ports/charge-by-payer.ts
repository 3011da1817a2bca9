// A PageCharging made of accounts: accounts say whether a payer may have more pages, and this file remembers the payer of
// each page and swap slot, so that every charge is undone once and for the account that paid. For charging without
// memory cgroups. Kernel counterparts: folio->memcg_data, struct swap_cgroup.
import { bugOn, type Page } from "@hetmem/kernel";
import { resized } from "@hetmem/page";
import { type PageCharging, uncharged } from "./charging.ts";

/** The accounts of chargeByPayer(). A payer is a number of 0 to 65,534: MmStruct.payer, 0 where nobody has set it. */
export interface PayerAccounts {
  /**
   * Adds pages to an account.
   *
   * @param pages small pages, 512 for a huge page
   * @returns false over the account's limit; the account is unchanged then, and the allocation ends with ENOMEM
   */
  tryCharge(payer: number, pages: number): boolean;
  /** Takes pages off an account. */
  uncharge(payer: number, pages: number): void;
  /** Adds a swap slot to an account. Absent: slots cost nothing. @returns false over the account's limit */
  tryChargeSwap?(payer: number): boolean;
  /** Whether a payer was removed: the reader of a swap slot pays for the page then. Absent: payers stay. */
  isGone?(payer: number): boolean;
  /** Takes a swap slot off an account. */
  unchargeSwap?(payer: number): void;
}

/**
 * A charging of pages of processes, their page tables and stacks, and of swap slots by MmStruct.payer, which fork() and
 * execve() hand on. There is no reclaim at a limit. The result can be spread, to replace single operations.
 */
export function chargeByPayer(accounts: PayerAccounts): PageCharging {
  const ledger = new Ledger(accounts);
  return { ...uncharged, ...pageCharges(ledger), ...swapCharges(ledger) };
}

/** Entry of a page that isn't charged; others are the payer + 1. */
const NOBODY = 0;

/** The payers of pages and of swap slots. */
class Ledger {
  readonly accounts: PayerAccounts;
  /** By page. */
  owners: Uint16Array = new Uint16Array(0);
  /** By slotKey(). */
  readonly slots: Map<number, number> = new Map();

  constructor(accounts: PayerAccounts) {
    this.accounts = accounts;
  }

  tryCharge(payer: number, page: Page, pages: number): boolean {
    bugOn(this.owners[page] !== NOBODY, `page ${page} is charged twice`);
    if (!this.accounts.tryCharge(payer, pages)) return false;
    this.owners.fill(payer + 1, page, page + pages);
    return true;
  }

  uncharge(page: Page, pages: number): void {
    const owner = this.owners[page] as number;
    if (owner === NOBODY) return;
    this.owners.fill(NOBODY, page, page + pages);
    this.accounts.uncharge(owner - 1, pages);
  }
}

function pageCharges(
  ledger: Ledger,
): Pick<
  PageCharging,
  "start" | "tryCharge" | "charge" | "tryChargeKernel" | "uncharge" | "unchargeBatch" | "migrate"
> {
  return {
    start: ({ memmap }) =>
      memmap.addTable((pages) => void (ledger.owners = resized(ledger.owners, pages, "payers of pages"))),
    tryCharge: (mm, page, pages) => mm === undefined || ledger.tryCharge(mm.payer, page, pages),
    *charge(mm, page, pages) {
      return mm === undefined || ledger.tryCharge(mm.payer, page, pages);
    },
    tryChargeKernel: (payer, page, pages) => ledger.tryCharge(payer, page, pages),
    uncharge: (page, pages) => ledger.uncharge(page, pages),
    unchargeBatch(pages, count) {
      for (let i = 0; i < count; i++) ledger.uncharge(pages[i] as Page, 1);
    },
    migrate(old, fresh) {
      ledger.owners[fresh] = ledger.owners[old] as number;
      ledger.owners[old] = NOBODY;
    },
  };
}

/** A slot belongs to the payer of its page, and so does the page that is read from it. */
function swapCharges(ledger: Ledger): Pick<PageCharging, "chargeSwapIn" | "tryChargeSwap" | "unchargeSwap"> {
  const { accounts, slots } = ledger;
  return {
    *chargeSwapIn(mm, page, device, slot) {
      const owner = slots.get(slotKey(device, slot));
      const payer = owner === undefined || accounts.isGone?.(owner) === true ? mm?.payer : owner;
      return payer === undefined || ledger.tryCharge(payer, page, 1);
    },
    tryChargeSwap(page, device, slot) {
      const owner = ledger.owners[page] as number;
      if (owner === NOBODY) return true;
      if (accounts.tryChargeSwap?.(owner - 1) === false) return false;
      slots.set(slotKey(device, slot), owner - 1);
      return true;
    },
    unchargeSwap(device, first, count) {
      for (let slot = first; slot < first + count; slot++) {
        const payer = slots.get(slotKey(device, slot));
        if (payer === undefined) continue;
        slots.delete(slotKey(device, slot));
        accounts.unchargeSwap?.(payer);
      }
    },
  };
}

function slotKey(device: number, slot: number): number {
  return device * 2 ** 32 + slot;
}
