// How often a suite of rivals runs, and where it begins. Tests hand in their environment, so that a failure is replayed by
// what its message says, in every package alike.
import { KernelBug } from "@hetmem/kernel";

/** Schedules of a path, which cases about the same path share. */
const SCHEDULES = 2000;

export interface RivalsPlan {
  readonly schedules: number;
  /** Seed of the first machine: 0 when absent. */
  readonly first?: number;
  /** The last round of the first machine to run, and nothing behind it; all schedules when absent. */
  readonly round?: number | undefined;
  /** Whether there are enough schedules to meet every ending that a suite names; they are demanded then. */
  readonly complete?: boolean;
}

/**
 * The plan that an environment asks for. HETMEM_SCHEDULES: schedules of a path, 2,000 where it is absent. HETMEM_SEED: the
 * seed of the first machine. HETMEM_ROUND: runs the first machine's rounds up to this one, which is a replay.
 *
 * @param share how many cases share the schedules of their path
 * @throws KernelBug for a variable that is no whole number from 0 on
 */
export function rivalsPlan(env: Readonly<Record<string, string | undefined>>, share = 1): RivalsPlan {
  const asked = numberOf(env, "HETMEM_SCHEDULES") ?? SCHEDULES;
  const round = numberOf(env, "HETMEM_ROUND");
  return {
    first: numberOf(env, "HETMEM_SEED") ?? 0,
    schedules: Math.ceil(asked / share),
    round,
    complete: round === undefined && asked >= SCHEDULES,
  };
}

function numberOf(env: Readonly<Record<string, string | undefined>>, name: string): number | undefined {
  const text = env[name];
  if (text === undefined || text === "") return undefined;
  if (!/^\d+$/.test(text)) throw new KernelBug(`${name} is "${text}", and must be a whole number from 0 on`);
  return Number(text);
}
