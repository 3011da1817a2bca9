// Pressure stall information: the total time in which tasks of a group stalled, and averages over ten seconds, one
// minute and five minutes. The kernel distinguishes "some" (at least one task stalls) from "full" (no task is
// productive). Here the clock advances only while all tasks wait or sleep, and a sleeping task isn't productive, so
// both are the same time. Kernel counterpart: kernel/sched/psi.c.
import { bugOn } from "@hetmem/kernel";

const NS_PER_US = 1000;
/** Period of the averages, in nanoseconds. @see PSI_FREQ */
const PERIOD_NS = 2_000_000_000;
/**
 * 1.0 in the fixed-point format of load averages, with 11 fraction bits.
 *
 * @see FIXED_1 in include/linux/sched/loadavg.h
 */
const ONE = 2048;
/** Decay factors of the averages per period: e^(-2s/10s), e^(-2s/60s), e^(-2s/300s). @see EXP_10s, EXP_60s, EXP_300s */
const DECAY = [1677, 1981, 2034] as const;

/** @see struct psi_group */
export class PressureGroup {
  private readonly time: StallTime = new StallTime();
  private stalled = 0;
  /** Times up to which the total and the averages are accounted. */
  private recordedNs: number;
  private updatedNs: number;

  constructor(nowNs: number) {
    this.recordedNs = nowNs;
    this.updatedNs = nowNs;
  }

  /** A task begins to stall. @see psi_memstall_enter() */
  enter(nowNs: number): void {
    this.advance(nowNs);
    this.stalled++;
  }

  /** A task's stall ends. @see psi_memstall_leave() */
  leave(nowNs: number): void {
    this.advance(nowNs);
    bugOn(this.stalled === 0, "a task goes on that didn't wait");
    this.stalled--;
  }

  /** Total stall time in nanoseconds. */
  stalledNs(nowNs: number): number {
    this.advance(nowNs);
    return this.time.totalNs;
  }

  /** The text of the pressure file. @see psi_show() */
  show(nowNs: number): string {
    this.advance(nowNs);
    return `some ${this.time.text()}\nfull ${this.time.text()}\n`;
  }

  /** Updates total and averages to `nowNs`, period by period as the kernel's worker does. @see update_averages() */
  private advance(nowNs: number): void {
    while (nowNs - this.updatedNs >= PERIOD_NS) {
      const quiet = this.stalled === 0 && this.time.forgotten;
      const periods = quiet ? Math.floor((nowNs - this.updatedNs) / PERIOD_NS) : 1;
      this.updatedNs += periods * PERIOD_NS;
      this.record(this.updatedNs);
      this.time.sample();
    }
    this.record(nowNs);
  }

  /** @see record_times() */
  private record(nowNs: number): void {
    const passedNs = nowNs - this.recordedNs;
    this.recordedNs = nowNs;
    if (this.stalled > 0) this.time.totalNs += passedNs;
  }
}

/** Total and averages of one line of the file. */
class StallTime {
  totalNs = 0;
  private sampledNs = 0;
  private readonly averages: number[] = DECAY.map(() => 0);

  /** Whether the averages are zero and stay so without new stalls. */
  get forgotten(): boolean {
    return this.totalNs === this.sampledNs && this.averages.every((load) => load === 0);
  }

  /** Ends a period: folds its stall time into the averages. @see calc_avgs() */
  sample(): void {
    const percent = Math.floor(((this.totalNs - this.sampledNs) * 100) / PERIOD_NS);
    this.sampledNs = this.totalNs;
    DECAY.forEach((decay, index) => {
      this.averages[index] = calcLoad(this.averages[index] ?? 0, decay, percent * ONE);
    });
  }

  text(): string {
    const [ten, sixty, threeHundred] = this.averages.map(formatLoad);
    return `avg10=${ten} avg60=${sixty} avg300=${threeHundred} total=${Math.floor(this.totalNs / NS_PER_US)}`;
  }
}

/**
 * Moves an average towards the active value; a rising average is rounded up.
 *
 * @see calc_load() in include/linux/sched/loadavg.h
 */
function calcLoad(load: number, decay: number, active: number): number {
  const sum = load * decay + active * (ONE - decay) + (active >= load ? ONE - 1 : 0);
  return Math.floor(sum / ONE);
}

/** Formats a fixed-point value with two decimals. @see LOAD_INT(), LOAD_FRAC() */
function formatLoad(load: number): string {
  const hundredths = Math.floor(((load % ONE) * 100) / ONE);
  return `${Math.floor(load / ONE)}.${hundredths.toString().padStart(2, "0")}`;
}
