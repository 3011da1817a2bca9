// The latency of a device's bus, in simulated time. A driver waits so long on the machine's clock, or ignores it. Kernel
// counterpart: none; a device takes its time.

/** Bus latency in simulated nanoseconds. */
export interface DmaLatency {
  /** Time per copy command, including its completion. */
  readonly setupNs: number;
  /** Time per copied KiB. */
  readonly kibNs: number;
  /** Time of a device TLB flush. */
  readonly flushNs: number;
}

/** No latency. */
export const noLatency: DmaLatency = { setupNs: 0, kibNs: 0, flushNs: 0 };

/** PCI Express 4 with 16 lanes: 25 GB/s, 1.5 µs per command. */
export const pcieLatency: DmaLatency = { setupNs: 1500, kibNs: 41, flushNs: 800 };
