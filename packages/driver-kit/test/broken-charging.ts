// The charging of accounts with one mistake each. Every one breaks one obligation, and no other.
import { condResched, nodeId, type Page, type Sleeps } from "@hetmem/kernel";
import type { MmStruct, Vm } from "@hetmem/mm";
import type { ChargingUnderTest } from "../src/page-charging/index.ts";
import { Accounts, add, type Change, payerCharging, PAYERS } from "./payer-accounts.ts";

/** Has every address space pay from the account that it began with. */
const remembersTheFirstPayer: Change = (good) => {
  const seen = new Map<MmStruct, MmStruct>();
  const asBefore = (mm: MmStruct | undefined): MmStruct | undefined => {
    if (mm === undefined) return undefined;
    if (!seen.has(mm)) seen.set(mm, Object.create(mm, { payer: { value: mm.payer } }));
    return seen.get(mm);
  };
  return {
    tryCharge: (mm, page, pages) => good.tryCharge(asBefore(mm), page, pages),
    charge: (mm, page, pages, gfp) => good.charge(asBefore(mm), page, pages, gfp),
  };
};

/** Takes a freed page off the account that its process pays from by then. */
const givesBackToTheCurrentPayer: Change = (good, accounts) => {
  const owners = new Map<Page, { readonly mm: MmStruct; readonly paid: number }>();
  return {
    tryCharge(mm, page, pages) {
      if (mm !== undefined) owners.set(page, { mm, paid: mm.payer });
      return good.tryCharge(mm, page, pages);
    },
    uncharge(page, pages) {
      good.uncharge(page, pages);
      const owner = owners.get(page);
      owners.delete(page);
      if (owner === undefined) return;
      add(accounts.used, owner.paid, pages);
      add(accounts.used, owner.mm.payer, -pages);
    },
    unchargeBatch(pages, count) {
      for (let i = 0; i < count; i++) owners.delete(pages[i] as Page);
      good.unchargeBatch(pages, count);
    },
  };
};

/** Takes a batch off the account of its first page. */
const takesABatchForOnePayer: Change = (good, accounts) => {
  const payers = new Map<Page, number>();
  return {
    tryCharge(mm, page, pages) {
      if (mm !== undefined) payers.set(page, mm.payer);
      return good.tryCharge(mm, page, pages);
    },
    unchargeBatch(pages, count) {
      const first = payers.get(pages[0] as Page);
      good.unchargeBatch(pages, count);
      for (const page of pages.subarray(0, count)) {
        const payer = payers.get(page as Page);
        if (payer === undefined || first === undefined) continue;
        add(accounts.used, payer, 1);
        add(accounts.used, first, -1);
      }
    },
  };
};

/** Takes every page that is freed off an account, charged or not. */
const uncountsEveryPage: Change = (good, accounts) => ({
  uncharge(page, pages) {
    const before = charged(accounts);
    good.uncharge(page, pages);
    if (charged(accounts) === before) accounts.uncharge(PAYERS[0], pages);
  },
});

/** Adds kernel pages to the account without a note of the page. */
const forgetsKernelPages: Change = (_good, accounts) => ({
  tryChargeKernel: (payer, _page, pages) => accounts.tryCharge(payer, pages),
});

/** Refuses in tryCharge() only: where a limit was reached, charge() admits the page, and charges nobody. */
const admitsWhatItRefused: Change = () => ({
  *charge() {
    return true;
  },
});

/** Adds the pages first, and compares then. */
class CountsRefusals extends Accounts {
  override tryCharge(payer: number, pages: number): boolean {
    add(this.used, payer, pages);
    return this.charged(payer) <= (this.limits.get(payer) ?? Infinity);
  }
}

/** Looks whether there is room, sleeps, and charges then. */
const looksBeforeItSleeps: Change = (good, accounts) => ({
  tryCharge: (mm) => mm === undefined,
  *charge(mm, page, pages) {
    if (mm === undefined) return true;
    if (!accounts.hasRoom(mm.payer, pages)) return false;
    yield condResched;
    const limit = accounts.limits.get(mm.payer) ?? Infinity;
    accounts.limits.delete(mm.payer);
    good.tryCharge(mm, page, pages);
    accounts.limits.set(mm.payer, limit);
    return true;
  },
});

/** Waits at a limit until another process gives pages up. */
const waitsForEver: Change = (good) => ({
  *charge(mm, page, pages) {
    while (!good.tryCharge(mm, page, pages)) yield condResched;
    return true;
  },
});

/** Takes one page off the account for a huge page. */
const uncountsOneOfMany: Change = (good) => ({ uncharge: (page) => good.uncharge(page, 1) });

/** Knows a huge page by its head, after a split as before. */
const knowsHeadsOnly: Change = (good) => {
  const parts = new Set<number>();
  return {
    tryCharge(mm, page, pages) {
      for (let i = 1; i < pages; i++) parts.add(page + i);
      return good.tryCharge(mm, page, pages);
    },
    uncharge(page, pages) {
      if (!parts.has(page)) good.uncharge(page, pages);
    },
    unchargeBatch(pages, count) {
      for (const page of pages.subarray(0, count)) if (!parts.has(page)) good.uncharge(page as Page, 1);
    },
  };
};

/** Leaves the charge on the frame that a page has left, which is freed. */
const leavesTheChargeBehind: Change = () => ({ migrate: () => {} });

const keepsSlots: Change = () => ({ unchargeSwap: () => {} });

const chargesWhoeverReads: Change = (good) => ({
  *chargeSwapIn(mm, page, _device, _slot, gfp) {
    return yield* good.charge(mm, page, 1, gfp);
  },
});

/** Forgets that a payer is gone. */
class ChargesTheGone extends Accounts {
  override isGone(): boolean {
    return false;
  }
}

/** Looks for pages on new lists once the first page goes to swap. */
const movesBetweenLists: Change = (good) => {
  let vm: Vm | undefined;
  let fresh: number | undefined;
  return {
    start(machine) {
      good.start(machine);
      vm = machine;
    },
    tryChargeSwap(page, device, slot) {
      fresh ??= vm?.lru.createLruvec(nodeId(0), undefined).id;
      return good.tryChargeSwap(page, device, slot);
    },
    lruvec: (_page, node) => fresh ?? vm?.lru.lruvecOfNode(node).id ?? 0,
  };
};

/** Has a process that comes near its limit wait until it has given pages up. */
const keepsTheProcess: Change = (_good, accounts) => ({
  handleOverHigh(process) {
    const payer = process.mm?.payer ?? 0;
    return accounts.hasRoom(payer, 2) ? undefined : waitForRoom(accounts, payer);
  },
});

function* waitForRoom(accounts: Accounts, payer: number): Sleeps<void> {
  while (!accounts.hasRoom(payer, 2)) yield condResched;
}

function charged(accounts: Accounts): number {
  return accounts.charged(PAYERS[0]) + accounts.charged(PAYERS[1]);
}

/** The broken chargings, each with the obligation that it breaks. */
export const BROKEN: readonly (readonly [obligation: string, charging: ChargingUnderTest])[] = [
  ["charges the payer of the moment", payerCharging("remembers the first payer", remembersTheFirstPayer)],
  [
    "gives back to the payer that paid",
    payerCharging("gives back to the current payer", givesBackToTheCurrentPayer),
  ],
  [
    "gives back a batch of several payers",
    payerCharging("takes a batch for one payer's", takesABatchForOnePayer),
  ],
  ["leaves pages alone that nobody paid for", payerCharging("uncounts every page", uncountsEveryPage)],
  ["gives kernel pages back", payerCharging("forgets kernel pages", forgetsKernelPages)],
  ["admits no page past its limit", payerCharging("admits what it refused", admitsWhatItRefused)],
  [
    "leaves nothing of a refused charge",
    payerCharging("counts refusals", undefined, () => new CountsRefusals()),
  ],
  ["holds its limit while others charge", payerCharging("looks before it sleeps", looksBeforeItSleeps)],
  ["ends where it can't admit", payerCharging("waits for ever", waitsForEver)],
  ["counts a huge page by its size", payerCharging("uncounts one of many", uncountsOneOfMany)],
  ["shares a charge out at a split", payerCharging("knows heads only", knowsHeadsOnly)],
  ["moves a charge with its page", payerCharging("leaves the charge behind", leavesTheChargeBehind)],
  ["gives swap slots back", payerCharging("keeps slots", keepsSlots)],
  ["charges a swap-in to the owner of the slot", payerCharging("charges whoever reads", chargesWhoeverReads)],
  [
    "charges a swap-in to the reader when the owner is gone",
    payerCharging("charges the gone", undefined, () => new ChargesTheGone()),
  ],
  ["leaves a page on its list", payerCharging("moves between lists", movesBetweenLists)],
  ["lets a process return to user mode", payerCharging("keeps the process", keepsTheProcess)],
];
