import { describe, expect, test } from "vitest";
import { SimulatedClock, KernelLog } from "../src/index.ts";

describe("kernel log", () => {
  test("prints as dmesg does, with the time since boot", () => {
    const clock = new SimulatedClock();
    const log = new KernelLog(clock);
    log.printk(6, "Memory: 2048K/4096K available");
    clock.advance(12_345_678_900);
    log.printk(3, "Offlined Pages 32768");
    expect(log.format()).toBe(
      "[    0.000000] Memory: 2048K/4096K available\n[   12.345679] Offlined Pages 32768\n",
    );
    expect(log.records[1]).toEqual({ timeNs: 12_345_678_900, level: 3, text: "Offlined Pages 32768" });
  });

  test("drops the oldest lines when its buffer is full, never the newest", () => {
    const log = new KernelLog(new SimulatedClock());
    for (let i = 0; i < 40_000; i++) log.printk(7, `${i}`);
    expect(log.records.length).toBeLessThanOrEqual(16_384);
    expect(log.records.at(-1)?.text).toBe("39999");
    const first = Number(log.records[0]?.text);
    expect(log.records.map(({ text }) => Number(text))).toEqual(log.records.map((_, i) => first + i));
  });
});
