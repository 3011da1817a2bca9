// How long tasks of a group could do nothing for want of something: the sum of it, and its share of the last ten seconds,
// minute and five minutes. The kernel tells apart how long some waited and how long nobody was productive meanwhile. Here the
// clock moves only while every task waits or sleeps, and a task that sleeps isn't productive: the two are the same time.
// Kernel counterpart: kernel/sched/psi.c.
import { bugOn } from "@hetmem/kernel";

const NS_PER_US = 1000;
/** How often averages are brought up to date. @see PSI_FREQ */
const PERIOD_NS = 2_000_000_000;
/** One, as load averages have it: eleven bits behind the point. @see FIXED_1 in include/linux/sched/loadavg.h */
const ONE = 2048;
/** What is left of an average after a period: e^(-2s/10s), and so on. @see EXP_10s, EXP_60s, EXP_300s */
const DECAY = [1677, 1981, 2034] as const;

/** @see struct psi_group */
export class PressureGroup {
  private readonly time: StallTime = new StallTime();
  private stalled = 0;
  /** Until when the sums are right, and the averages. */
  private recordedNs: number;
  private updatedNs: number;

  constructor(nowNs: number) {
    this.recordedNs = nowNs;
    this.updatedNs = nowNs;
  }

  /** A task has to wait. @see psi_memstall_enter() */
  enter(nowNs: number): void {
    this.advance(nowNs);
    this.stalled++;
  }

  /** It goes on. @see psi_memstall_leave() */
  leave(nowNs: number): void {
    this.advance(nowNs);
    bugOn(this.stalled === 0, "a task goes on that didn't wait");
    this.stalled--;
  }

  /** Nanoseconds in which a task waited. */
  stalledNs(nowNs: number): number {
    this.advance(nowNs);
    return this.time.totalNs;
  }

  /** The file of it. @see psi_show() */
  show(nowNs: number): string {
    this.advance(nowNs);
    return `some ${this.time.text()}\nfull ${this.time.text()}\n`;
  }

  /** Time has passed, period by period, as the kernel's worker would have met it. @see update_averages() */
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

/** What a line of the file says. */
class StallTime {
  totalNs = 0;
  private sampledNs = 0;
  private readonly averages: number[] = DECAY.map(() => 0);

  /** Whether time alone changes nothing. */
  get forgotten(): boolean {
    return this.totalNs === this.sampledNs && this.averages.every((load) => load === 0);
  }

  /** A period is over. @see calc_avgs() */
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

/** An average moves towards what is active now; upwards it is rounded up. @see calc_load() in include/linux/sched/loadavg.h */
function calcLoad(load: number, decay: number, active: number): number {
  const sum = load * decay + active * (ONE - decay) + (active >= load ? ONE - 1 : 0);
  return Math.floor(sum / ONE);
}

/** Two digits behind the point. @see LOAD_INT(), LOAD_FRAC() */
function formatLoad(load: number): string {
  const hundredths = Math.floor(((load % ONE) * 100) / ONE);
  return `${Math.floor(load / ONE)}.${hundredths.toString().padStart(2, "0")}`;
}
