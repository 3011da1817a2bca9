// Failures on purpose. Each place that can fail for want of memory or luck has a named point; armed, it fails as
// often as it is told, from a seed. Kernel counterpart: lib/fault-inject.c, whose attribute names are kept.
import { KernelError } from "./error.ts";
import { Random } from "./random.ts";

/** How an armed point fails. */
export interface FaultAttributes {
  /** Percent of the calls that fail. */
  readonly probability: number;
  /** Only every n-th call is considered. */
  readonly interval?: number;
  /** Calls that are let through first. */
  readonly space?: number;
  /** How often it may fail; no limit when absent. */
  readonly times?: number;
  readonly seed?: number;
}

export class FaultPoint {
  readonly name: string;
  /** Whether it can fail at all. Hot sites read it before they ask. */
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
   * A small allocation of the kernel, which fails only on purpose.
   *
   * @param what "a dax region"
   * @throws KernelError ENOMEM when this call is to fail
   * @see should_failslab() in mm/failslab.c
   */
  alloc(what: string): void {
    if (this.shouldFail()) throw new KernelError("ENOMEM", `no memory for ${what} (${this.name} is armed)`);
  }

  /** Calls asked since it was armed: what a test that tries every one of them counts to. */
  get calls(): number {
    return this.#calls;
  }

  get failures(): number {
    return this.#failures;
  }
}

export class FaultInjection {
  readonly #points = new Map<string, FaultPoint>();

  /** The point of that name, made at first use and disarmed. */
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
