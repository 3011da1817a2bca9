// A clock that begins late. See docs/ports/small-parts.md.
import { SimulatedClock } from "@hetmem/kernel";

/** A clock of a machine that has been up for a day: the log and the timers go by it. */
export class LateClock extends SimulatedClock {
  override get nowNs(): number {
    return super.nowNs + 86_400e9;
  }
}
