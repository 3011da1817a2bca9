// proc pin and unpin: a driver pins pages of a process for a device, as drivers of RDMA, VFIO and GPUs do, and unpins them;
// all of them when the process ends. A pinned page doesn't move.
import { alignUp, KernelError, PAGE_SIZE } from "@hetmem/kernel";
import { pinUserPages, unpinUserPages } from "@hetmem/gup";
import { sizeOf } from "@hetmem/shell";
import { addressOf, processOf, systemCall, type Verbs } from "../verbs.ts";

export const PIN: Verbs = {
  pin: {
    usage: "PID ADDR LENGTH [--longterm]",
    summary: "pin pages for a device; --longterm moves them out of ZONE_MOVABLE first",
    operands: [3, 3],
    options: { longterm: "l" },
    *run(call) {
      const [pid = "", address = "", length = ""] = call.operands;
      const { pins, vm } = call.space;
      const process = processOf(call, pid);
      const pages = alignUp(sizeOf(length), PAGE_SIZE) / PAGE_SIZE;
      const longterm = call.options.flags.has("l");
      yield* systemCall(call, pid, function* (mm) {
        yield* mm.mmapLock.downRead();
        try {
          const taken = yield* pinUserPages(mm, addressOf(address), pages, { write: true, longterm });
          // The process has let go of its pins meanwhile, and would never let go of these.
          if (!process.mm) {
            unpinUserPages(vm, taken);
            throw new KernelError("ESRCH", `process ${pid} has exited`);
          }
          if (!pins.has(process))
            process.closing.add(function* () {
              unpinUserPages(vm, pins.get(process) ?? []);
              pins.delete(process);
            });
          pins.set(process, [...(pins.get(process) ?? []), ...taken]);
        } finally {
          mm.mmapLock.upRead();
        }
      });
      return 0;
    },
  },
  unpin: {
    usage: "PID",
    summary: "let go of all that was pinned",
    operands: [1, 1],
    *run(call) {
      const { pins, vm } = call.space;
      const process = processOf(call, call.operands[0] ?? "");
      unpinUserPages(vm, pins.get(process) ?? []);
      pins.delete(process);
      return 0;
    },
  },
};
