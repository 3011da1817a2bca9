// Typed tracepoints with the kernel's event names. A disabled tracepoint costs one field read: a site writes `if
// (tp.enabled) tp.emit({ … })`, so that the event isn't built. Kernel counterpart: kernel/tracepoint.c.
import type { Clock } from "./clock.ts";

/** An event as a listener receives it. */
export interface TraceRecord<E = object> {
  readonly name: string;
  /** The kernel's event group: "kmem", "migrate". */
  readonly system: string;
  readonly timeNs: number;
  readonly event: E;
}

export type TraceListener<E = object> = (record: TraceRecord<E>) => void;

export class Tracepoint<E extends object> {
  readonly system: string;
  readonly name: string;
  /** Whether there are listeners. Read this field before building an event. */
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

  /** The tracepoint of that name, created at first use. Packages define their tracepoints once and keep the objects. */
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
