import { describe, expect, test } from "vitest";
import { createKernel, type TraceRecord } from "../src/index.ts";

interface PageAlloc {
  readonly pfn: number;
  readonly order: number;
}

describe("tracepoints", () => {
  test("cost nothing while nobody listens: the event is never built", () => {
    const { trace } = createKernel();
    const tracepoint = trace.define<PageAlloc>("kmem", "mm_page_alloc");
    let built = 0;
    const site = (): void => {
      if (tracepoint.enabled) tracepoint.emit({ pfn: ++built, order: 0 });
    };
    site();
    expect(built).toBe(0);
    const stop = tracepoint.subscribe(() => {});
    site();
    stop();
    site();
    expect(built).toBe(1);
  });

  test("tell each listener the name, the time and the event", () => {
    const { trace, clock } = createKernel();
    const tracepoint = trace.define<PageAlloc>("kmem", "mm_page_alloc");
    const heard: TraceRecord<PageAlloc>[] = [];
    tracepoint.subscribe((record) => heard.push(record));
    tracepoint.subscribe((record) => heard.push(record));
    clock.advance(77);
    tracepoint.emit({ pfn: 0x100, order: 9 });
    const record = { system: "kmem", name: "mm_page_alloc", timeNs: 77, event: { pfn: 0x100, order: 9 } };
    expect(heard).toEqual([record, record]);
  });

  test("stay enabled until the last listener has left", () => {
    const tracepoint = createKernel().trace.define<PageAlloc>("kmem", "mm_page_free");
    const stops = [tracepoint.subscribe(() => {}), tracepoint.subscribe(() => {})];
    stops[0]?.();
    expect(tracepoint.enabled).toBe(true);
    stops[1]?.();
    expect(tracepoint.enabled).toBe(false);
  });

  test("are found by name, and defining one again gives the same", () => {
    const { trace } = createKernel();
    const tracepoint = trace.define("migrate", "mm_migrate_pages");
    trace.define("kmem", "mm_page_free");
    expect(trace.define("migrate", "mm_migrate_pages")).toBe(tracepoint);
    expect(trace.get("mm_migrate_pages")).toBe(tracepoint);
    expect(trace.get("sched_switch")).toBeUndefined();
    expect(trace.names()).toEqual(["mm_migrate_pages", "mm_page_free"]);
  });
});
