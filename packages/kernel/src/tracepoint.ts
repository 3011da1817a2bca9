// Typed tracepoints that cost one field read while nobody listens. They carry the kernel's event names. A site reads
// `if (tp.enabled) tp.emit({ … })`, so that the event isn't even built. Kernel counterpart: kernel/tracepoint.c.
import type { Clock } from "./clock.ts";

/** What a listener gets. */
export interface TraceRecord<E = object> {
  readonly name: string;
  /** The group that the kernel files it under: "kmem", "migrate". */
  readonly system: string;
  readonly timeNs: number;
  readonly event: E;
}

export type TraceListener<E = object> = (record: TraceRecord<E>) => void;

export class Tracepoint<E extends object> {
  readonly system: string;
  readonly name: string;
  /** Whether somebody listens. Read it before building an event. */
  enabled = false;
  readonly #clock: Clock;
  readonly #listeners = new Set<TraceListener<E>>();

  constructor(clock: Clock, system: string, name: string) {
    this.#clock = clock;
    this.system = system;
    this.name = name;
  }

  emit(event: E): void {
    const record = { name: this.name, system: this.system, timeNs: this.#clock.nowNs, event };
    for (const listener of this.#listeners) listener(record);
  }

  /** @returns a function that ends the subscription */
  subscribe(listener: TraceListener<E>): () => void {
    this.#listeners.add(listener);
    this.enabled = true;
    return () => {
      this.#listeners.delete(listener);
      this.enabled = this.#listeners.size > 0;
    };
  }
}

/** All tracepoints of a machine, by name. */
export class Tracepoints {
  readonly #clock: Clock;
  readonly #byName = new Map<string, Tracepoint<object>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The tracepoint of that name, made at first use. Packages define theirs once and keep them. */
  define<E extends object>(system: string, name: string): Tracepoint<E> {
    const known = this.#byName.get(name);
    if (known) return known as unknown as Tracepoint<E>;
    const tracepoint = new Tracepoint<E>(this.#clock, system, name);
    this.#byName.set(name, tracepoint as unknown as Tracepoint<object>);
    return tracepoint;
  }

  get(name: string): Tracepoint<object> | undefined {
    return this.#byName.get(name);
  }

  names(): string[] {
    return [...this.#byName.keys()].sort();
  }
}
