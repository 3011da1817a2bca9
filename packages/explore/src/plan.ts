// The number of schedules of a suite, and its first seed. Tests pass their environment in, so that the message of a
// failure says how to replay it in every package alike.
import { KernelBug } from "@hetmem/kernel";

/** Schedules per code path. Cases that exercise the same path share them. */
const SCHEDULES = 2000;

export interface RivalsPlan {
  readonly schedules: number;
  /** Seed of the first machine; 0 when absent. */
  readonly first?: number;
  /** Replay: run the first machine up to this round and stop. All schedules when absent. */
  readonly round?: number | undefined;
  /** Whether the named endings are required: the schedules are enough for each of them to occur. */
  readonly complete?: boolean;
}

/**
 * The plan that environment variables ask for. HETMEM_SCHEDULES: schedules per path, 2,000 when absent. HETMEM_SEED:
 * the seed of the first machine. HETMEM_ROUND: replay the first machine up to this round.
 *
 * @param share number of cases that share the schedules of their path
 * @throws KernelBug for a variable that isn't a whole number from 0 on
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
