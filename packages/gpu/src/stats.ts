// What a device counts since it was made. Kernel counterpart: cpages, faults, calloc and cfree in lib/test_hmm.c.

export interface GpuStats {
  /** Misses of the engine that were answered. */
  faults: number;
  /** Looks at the cpu's tables that had to begin again, because something changed meanwhile. */
  retries: number;
  /** Ranges that the cpu side took back. */
  invalidations: number;
  /** Pages that came to the device because somebody asked, or a policy. */
  toDevice: number;
  /** Pages that went back because somebody asked. */
  toSystem: number;
  /** Touches of the cpu that the driver answered. */
  cpuFaults: number;
  /** Pages that had to go because the memory was full, or went away. */
  evicted: number;
  /** Pages of the device handed out, and taken back. */
  allocated: number;
  freed: number;
  /** Pages that were alone the device's for a while. */
  exclusive: number;
  /** Pages whose contents went with a reset, a dead device, or bad memory. */
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
