import { describe, expect, test } from "vitest";
import { type Uevent, Uevents } from "../src/index.ts";

describe("uevents", () => {
  test("reach each listener as they are sent, numbered in order", () => {
    const uevents = new Uevents();
    const heard: Uevent[] = [];
    uevents.subscribe((event) => heard.push(event));
    uevents.send("add", "/devices/system/memory/memory32", "memory");
    uevents.send("online", "/devices/system/memory/memory32", "memory", { ZONE: "Movable" });
    expect(heard).toEqual([
      { action: "add", devpath: "/devices/system/memory/memory32", subsystem: "memory", env: {}, seqnum: 1 },
      {
        action: "online",
        devpath: "/devices/system/memory/memory32",
        subsystem: "memory",
        env: { ZONE: "Movable" },
        seqnum: 2,
      },
    ]);
  });

  test("are numbered although nobody listens, and not heard after leaving", () => {
    const uevents = new Uevents();
    uevents.send("add", "/devices/a", "memory");
    const numbers: number[] = [];
    const stop = uevents.subscribe(({ seqnum }) => numbers.push(seqnum));
    uevents.send("online", "/devices/a", "memory");
    stop();
    uevents.send("remove", "/devices/a", "memory");
    expect(numbers).toEqual([2]);
  });
});
