// The services that all parts of a machine share: clock, log, lockdep, tracepoints, fault points and uevents. The
// record is passed along and is never a global: two machines in one process share nothing.
import { type Clock, SimulatedClock } from "./clock.ts";
import { FaultInjection } from "./fault.ts";
import { Lockdep } from "./lockdep.ts";
import { KernelLog } from "./log.ts";
import { Tracepoints } from "./tracepoint.ts";
import { Uevents } from "./uevent.ts";
import "./version.ts";

export interface Kernel {
  readonly clock: Clock;
  readonly log: KernelLog;
  readonly lockdep: Lockdep;
  readonly trace: Tracepoints;
  readonly faults: FaultInjection;
  readonly uevents: Uevents;
}

/** @param clock the time of the machine; simulated from 0 on when absent */
export function createKernel(clock: Clock = new SimulatedClock()): Kernel {
  return {
    clock,
    log: new KernelLog(clock),
    lockdep: new Lockdep(),
    trace: new Tracepoints(clock),
    faults: new FaultInjection(),
    uevents: new Uevents(),
  };
}
