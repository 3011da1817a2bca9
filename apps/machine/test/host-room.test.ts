import { GiB, KernelError, KiB, MiB } from "@hetmem/kernel";
import { HostMemoryError } from "@hetmem/page";
import { expect, test } from "vitest";
import { hostBytes, maxPages, withHostRoom } from "../src/machine/host-room.ts";
import { machineOfYaml } from "@hetmem/machine-spec";

const spec = (more: string) => machineOfYaml(`nodes: [{ memory: 1G, cpus: 0 }]\n${more}`, "m.yaml");
const small = spec("max_memory: 1G\n");

function refusal(error: Error): unknown {
  try {
    return withHostRoom(small, () => {
      throw error;
    });
  } catch (thrown) {
    return thrown;
  }
}

test("a machine may grow to max_memory, else by 64 GiB, and device memory counts", () => {
  expect(maxPages(small)).toBe(GiB / 4096);
  // Of the 65 GiB the firmware keeps some of the first MiB.
  const grown = maxPages(spec(""));
  expect(grown).toBeGreaterThan((65 * GiB - MiB) / 4096);
  expect(grown).toBeLessThan((65 * GiB) / 4096);
  expect(maxPages(spec("gpus: [{ size: 1G }]\n")) - grown).toBe((GiB + 128 * MiB) / 4096);
  expect(maxPages(spec("devices: [{ name: Soft Reserved, start: 8G, size: 2G }]\n")) - grown).toBe(
    (2 * GiB) / 4096,
  );
});

test("hetmem needs 34 bytes a page, five more for each of a gpu and seven a slot of swap", () => {
  const bytes = hostBytes(small);
  expect(hostBytes(spec("max_memory: 2G\n")) - bytes).toBe((34 * GiB) / 4096);
  expect(hostBytes(spec("max_memory: 1G\nswap: [{ path: /swap, size: 1G }]\n")) - bytes).toBe(
    (7 * GiB) / 4096,
  );
  expect(hostBytes(spec("max_memory: 1G\ngpus: [{ size: 1G }]\n")) - bytes).toBe((5 * GiB) / 4096);
});

test("a machine that the host has no room for says what needs how much, and which limit would do", () => {
  const error = refusal(new HostMemoryError(12.5 * GiB, "struct pages of 1.6 TiB"));
  expect(error).toBeInstanceOf(KernelError);
  expect(error).toMatchObject({ errno: "ENOMEM" });
  const { reason } = error as KernelError;
  expect(reason).toMatch(/12\.5 GiB that struct pages of 1\.6 TiB take/);
  expect(reason).toMatch(/this machine needs about 1\.3 GiB of address space in all/);
  expect(Number(/ulimit -v (\d+)/.exec(reason)?.[1])).toBe(Math.ceil(hostBytes(small) / KiB));
});

test("an allocation of V8's that fails says the same, and other errors go through", () => {
  expect(refusal(new RangeError("Array buffer allocation failed"))).toMatchObject({
    errno: "ENOMEM",
    reason: expect.stringMatching(/gives hetmem no more memory: this machine needs about 1\.3 GiB/),
  });
  const fault = new RangeError("Maximum call stack size exceeded");
  expect(refusal(fault)).toBe(fault);
});
