import { describe, expect, test } from "vitest";
import { createKernel, KernelBug, type Lockdep, Mutex, run, RwSemaphore } from "../src/index.ts";

/** Takes the locks in order as a task of that name, and gives them back. */
function take(lockdep: Lockdep, task: string, ...names: string[]): void {
  const before = lockdep.current;
  lockdep.current = { name: task, held: [] };
  try {
    for (const name of names) {
      lockdep.acquiring(name);
      lockdep.acquired(name);
    }
  } finally {
    lockdep.current = before;
  }
}

describe("lock order", () => {
  test("the same order any number of times is fine", () => {
    const { lockdep } = createKernel();
    for (const task of ["a", "b", "a"]) take(lockdep, task, "device_hotplug", "mem_hotplug", "zone");
    take(lockdep, "c", "device_hotplug", "zone");
  });

  test("the opposite order is reported although nothing deadlocked, and names both chains", () => {
    const { lockdep } = createKernel();
    take(lockdep, "offliner", "device_hotplug", "mem_hotplug");
    expect(() => take(lockdep, "prober", "mem_hotplug", "device_hotplug")).toThrow(
      "circular locking: prober holds mem_hotplug and takes device_hotplug, " +
        "but device_hotplug comes before mem_hotplug: offliner took device_hotplug -> mem_hotplug",
    );
  });

  test("a circle over three tasks is reported, and every link is named with its task", () => {
    const { lockdep } = createKernel();
    take(lockdep, "first", "a", "b");
    take(lockdep, "second", "b", "c");
    expect(() => take(lockdep, "third", "c", "a")).toThrow(
      /third holds c and takes a, .* first took a -> b; second took b -> c/,
    );
  });

  test("every lock that is held comes before the next, not the last one only", () => {
    const { lockdep } = createKernel();
    lockdep.acquiring("a");
    lockdep.acquired("a");
    lockdep.acquired("b"); // by a try, which is not checked
    lockdep.acquiring("c");
    expect(() => take(lockdep, "second", "c", "a")).toThrow("swapper took a -> b -> c");
  });

  test("a lock that is held already is reported", () => {
    const { lockdep } = createKernel();
    const semaphore = new RwSemaphore(lockdep, "mmap_lock");
    run(semaphore.downRead());
    expect(() => run(semaphore.downRead())).toThrow(
      "swapper takes mmap_lock, which it already holds (mmap_lock)",
    );
  });

  test("locks of the kernel are followed without further ado", () => {
    const { lockdep } = createKernel();
    const a = new Mutex(lockdep, "a");
    const b = new Mutex(lockdep, "b");
    run(a.lock());
    run(b.lock());
    b.unlock();
    a.unlock();
    run(b.lock());
    expect(() => run(a.lock())).toThrow(/swapper holds b and takes a, .*swapper took a -> b/);
  });

  test("a try is not checked, since it cannot wait", () => {
    const { lockdep } = createKernel();
    take(lockdep, "first", "a", "b");
    const a = new Mutex(lockdep, "a");
    const b = new Mutex(lockdep, "b");
    run(b.lock());
    expect(a.tryLock()).toBe(true);
  });
});

describe("what is held", () => {
  test("locks may be released in any order", () => {
    const { lockdep } = createKernel();
    for (const name of ["a", "b", "c"]) lockdep.acquired(name);
    lockdep.released("a");
    expect(lockdep.current.held).toEqual(["b", "c"]);
    expect([lockdep.holds("a"), lockdep.holds("b")]).toEqual([false, true]);
  });

  test("releasing what isn't held is a bug", () => {
    expect(() => createKernel().lockdep.released("a")).toThrow(KernelBug);
  });

  test("a path that needs a lock says who it is and which", () => {
    const { lockdep } = createKernel();
    expect(() => lockdep.assertHeld("device_hotplug_lock", "add_memory")).toThrow(
      "add_memory needs device_hotplug_lock, and swapper does not hold it",
    );
    lockdep.acquired("device_hotplug_lock");
    expect(() => lockdep.assertHeld("device_hotplug_lock", "add_memory")).not.toThrow();
  });
});
