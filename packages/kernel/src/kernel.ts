// What every part of a machine shares: the clock, the log, lock order, tracepoints, fault points and uevents. A record
// that is passed along, never a global: two machines in one process have nothing in common.
import { Clock } from "./clock.ts";
import { FaultInjection } from "./fault.ts";
import { Lockdep } from "./lockdep.ts";
import { KernelLog } from "./log.ts";
import { Tracepoints } from "./tracepoint.ts";
import { Uevents } from "./uevent.ts";

export interface Kernel {
  readonly clock: Clock;
  readonly log: KernelLog;
  readonly lockdep: Lockdep;
  readonly trace: Tracepoints;
  readonly faults: FaultInjection;
  readonly uevents: Uevents;
}

export function createKernel(): Kernel {
  const clock = new Clock();
  return {
    clock,
    log: new KernelLog(clock),
    lockdep: new Lockdep(),
    trace: new Tracepoints(clock),
    faults: new FaultInjection(),
    uevents: new Uevents(),
  };
}
