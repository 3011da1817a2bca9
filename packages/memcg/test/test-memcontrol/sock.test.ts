// test_memcg_sock of the kernel's test_memcontrol. There is no network: a server fills what would be the send queue of a
// socket, and a client empties it, through the calls by which sockets charge their buffers.
import { expect, test } from "vitest";
import { chargeSocket, unchargeSocket } from "../../src/kernel-memory.ts";
import type { MemoryCgroup } from "../../src/memory-cgroup.ts";
import { type CgroupUtil, cgroupUtil, valuesClose } from "./cgroup-util.ts";
import { PAGE } from "@hetmem/test-machines/vm-machine";

const CG = "memcg_test";
/** Pages that one write(2) of a mebibyte leaves in the queue. */
const PAGES_OF_WRITE = 256;

function cgroupOf({ machine: { memcgs } }: CgroupUtil): MemoryCgroup {
  for (const cgroup of memcgs.root.children()) if (cgroup.name === CG) return cgroup;
  throw new Error(`there is no cgroup ${CG}`);
}

test("test_memcg_sock: what sockets have in their buffers is charged to their cgroup, and gone when they close", () => {
  const cg = cgroupUtil();
  cg.create(CG);
  const cgroup = cgroupOf(cg);
  const { memcgs, run } = cg.machine;
  let queued = 0;
  for (let written = 0; written < 3; written++) {
    expect(run(chargeSocket(memcgs, cgroup, PAGES_OF_WRITE))).toBe(true);
    queued += PAGES_OF_WRITE;
  }
  const current = cg.readLong(CG, "memory.current");
  const sock = cg.readKeyLong(CG, "memory.stat", "sock");
  expect(sock).toBe(queued * PAGE);
  expect(valuesClose(current, sock, 10)).toBe(true);
  unchargeSocket(memcgs, cgroup, queued);
  expect(cg.readLong(CG, "memory.current")).toBeGreaterThanOrEqual(0);
  expect(cg.readKeyLong(CG, "memory.stat", "sock")).toBe(0);
  cg.destroy(CG);
});

test("a socket over memory.max makes do with what it has", () => {
  const cg = cgroupUtil();
  cg.create(CG);
  cg.write(CG, "memory.max", "512K");
  const { memcgs, run } = cg.machine;
  expect(run(chargeSocket(memcgs, cgroupOf(cg), PAGES_OF_WRITE))).toBe(false);
  expect(cg.readLong(CG, "memory.current")).toBe(0);
});
