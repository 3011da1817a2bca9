// A charging without memory cgroups: each payer may have a number of pages. See docs/ports/page-charging.md.
import { chargeByPayer, type PageCharging } from "@hetmem/mm";

/**
 * @param limits most pages by MmStruct.payer; others have no limit
 * @param used pages of each payer, kept up to date
 */
export function limitPerPayer(
  limits: ReadonlyMap<number, number>,
  used: Map<number, number> = new Map(),
): PageCharging {
  const usage = (payer: number): number => used.get(payer) ?? 0;
  return chargeByPayer({
    tryCharge(payer, pages) {
      if (usage(payer) + pages > (limits.get(payer) ?? Infinity)) return false;
      used.set(payer, usage(payer) + pages);
      return true;
    },
    uncharge: (payer, pages) => void used.set(payer, usage(payer) - pages),
  });
}
