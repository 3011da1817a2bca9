// Fault injection. Each place that can fail has a named point: an allocation, a device access. An armed point fails
// as often as its attributes say, from a seed. Kernel counterpart: lib/fault-inject.c, whose attribute names are
// kept.
import { KernelError } from "./error.ts";
import { Random } from "./random.ts";

/** The attributes of an armed point. @see struct fault_attr in include/linux/fault-inject.h */
export interface FaultAttributes {
  /** Percent of the calls that fail. */
  readonly probability: number;
  /** Only every n-th call is considered. */
  readonly interval?: number;
  /** Calls at the beginning that never fail. */
  readonly space?: number;
  /** Failures at most; no limit when absent. */
  readonly times?: number;
  readonly seed?: number;
}

export class FaultPoint {
  readonly name: string;
  /** Whether the point can fail at all. Hot call sites read this field before they call shouldFail(). */
  armed = false;
  #attributes: FaultAttributes = { probability: 0 };
  #random = new Random(0);
  #calls = 0;
  #failures = 0;

  constructor(name: string) {
    this.name = name;
  }

  arm(attributes: FaultAttributes): void {
    this.#attributes = attributes;
    this.#random = new Random(attributes.seed ?? 0);
    this.#calls = 0;
    this.#failures = 0;
    this.armed = true;
  }

  disarm(): void {
    this.armed = false;
  }

  /** Whether this call is to fail. @see should_fail() in lib/fault-inject.c */
  shouldFail(): boolean {
    if (!this.armed) return false;
    const { probability, interval = 1, space = 0, times = Number.POSITIVE_INFINITY } = this.#attributes;
    this.#calls++;
    if (this.#failures >= times || this.#calls <= space || (this.#calls - space) % interval !== 0)
      return false;
    if (!this.#random.chance(probability, 100)) return false;
    this.#failures++;
    return true;
  }

  /**
   * Stands for a small kernel allocation, which fails only by injection.
   *
   * @param what the object allocated, for the message: "a dax region"
   * @throws KernelError ENOMEM when this call is to fail
   * @see should_failslab() in mm/failslab.c
   */
  alloc(what: string): void {
    if (this.shouldFail()) throw new KernelError("ENOMEM", `no memory for ${what} (${this.name} is armed)`);
  }

  /**
   * Calls of shouldFail() since the point was armed. A test that makes each call fail in turn counts up to this
   * number.
   */
  get calls(): number {
    return this.#calls;
  }

  get failures(): number {
    return this.#failures;
  }
}

export class FaultInjection {
  readonly #points = new Map<string, FaultPoint>();

  /** The point of that name, created disarmed at first use. */
  point(name: string): FaultPoint {
    let point = this.#points.get(name);
    if (!point) this.#points.set(name, (point = new FaultPoint(name)));
    return point;
  }

  names(): string[] {
    return [...this.#points.keys()].sort();
  }

  disarmAll(): void {
    for (const point of this.#points.values()) point.disarm();
  }
}
