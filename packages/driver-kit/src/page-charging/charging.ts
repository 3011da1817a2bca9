// The interface that a charging offers to the kit: how it is made, and what is charged to two payers. The kit drives it through
// mm, reclaim and migration as a machine does.
import type { PageCharging } from "@hetmem/mm";
import type { Memory } from "@hetmem/zone";

export interface ChargingUnderTest {
  /** For reports. */
  readonly name: string;
  /** Makes the charging of one machine. Called once for each trial. */
  create(memory: Memory): ChargingOfTrial;
}

/** The charging of one machine. What is absent isn't tried. */
export interface ChargingOfTrial {
  readonly charging: PageCharging;
  /** Two values of MmStruct.payer with accounts of their own. */
  readonly payers: readonly [number, number];
  /** Small pages charged to a payer at present, kernel pages included; always 0 where nobody is charged. */
  charged(payer: number): number;
  /** Swap slots charged to a payer at present. Absent: slots aren't charged. */
  slots?(payer: number): number;
  /** Limits the pages of a payer from now on. Absent: there are no limits. */
  limit?(payer: number, pages: number): void;
  /** Removes a payer whose processes have gone elsewhere: it is charged no more. Absent: payers stay. */
  remove?(payer: number): void;
}
