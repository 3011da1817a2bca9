// The number of schedules of a suite, and its first seed. Tests pass their environment in, so that the message of a
// failure says how to replay it in every package alike.
import { KernelBug } from "@hetmem/kernel";

/** Schedules per code path. Cases that exercise the same path share them. */
const SCHEDULES = 2000;

export interface RivalsPlan {
  readonly schedules: number;
  /** Seed of the first schedule; 0 when absent. Each further one has the next seed. */
  readonly first?: number;
  /** Whether the named endings are required: the schedules are enough for each of them to occur. */
  readonly complete?: boolean;
}

/**
 * The plan that environment variables ask for. HETMEM_SCHEDULES: schedules per path, 2,000 when absent. HETMEM_SEED:
 * the first seed; with HETMEM_SCHEDULES=1 it replays one schedule.
 *
 * @param share number of cases that share the schedules of their path
 * @throws KernelBug for a variable that isn't a whole number from 0 on
 */
export function rivalsPlan(env: Readonly<Record<string, string | undefined>>, share = 1): RivalsPlan {
  const asked = numberOf(env, "HETMEM_SCHEDULES") ?? SCHEDULES;
  return {
    first: numberOf(env, "HETMEM_SEED") ?? 0,
    schedules: Math.ceil(asked / share),
    complete: asked >= SCHEDULES,
  };
}

function numberOf(env: Readonly<Record<string, string | undefined>>, name: string): number | undefined {
  const text = env[name];
  if (text === undefined || text === "") return undefined;
  if (!/^\d+$/.test(text)) throw new KernelBug(`${name} is "${text}", and must be a whole number from 0 on`);
  return Number(text);
}
