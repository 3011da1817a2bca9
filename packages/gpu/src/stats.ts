// Counters of a device since its creation. Kernel counterpart: cpages, faults, calloc and cfree in lib/test_hmm.c.

export interface GpuStats extends Record<string, number> {
  /** Handled misses of the engine. */
  faults: number;
  /** Retries after a change of the range. */
  retries: number;
  /** Invalidations. */
  invalidations: number;
  /** Pages migrated to the device, by request or policy. */
  toDevice: number;
  /** Pages migrated back by request. */
  toSystem: number;
  /** Handled cpu faults on private pages. */
  cpuFaults: number;
  /** Evicted pages. */
  evicted: number;
  /** Allocated, and freed, pages of device memory. */
  allocated: number;
  freed: number;
  /** Pages made device-exclusive. */
  exclusive: number;
  /** Pages with contents lost by a reset, a lost device, or bad memory. */
  lost: number;
}

export function createStats(): GpuStats {
  return {
    faults: 0,
    retries: 0,
    invalidations: 0,
    toDevice: 0,
    toSystem: 0,
    cpuFaults: 0,
    evicted: 0,
    allocated: 0,
    freed: 0,
    exclusive: 0,
    lost: 0,
  };
}
