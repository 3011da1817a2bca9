// proc mmap, munmap, mprotect, mremap and brk: the mappings of a process.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import {
  brk,
  Madv,
  MapFlag,
  type MmapRequest,
  mmap,
  type MmStruct,
  mprotect,
  mremap,
  MremapFlag,
  munmap,
  Prot,
} from "@hetmem/mm";
import { madvise } from "@hetmem/madvise";
import { sizeOf } from "@hetmem/shell";
import { addressOf, type Call, hex, mmOf, protOf, systemCall, type Verbs } from "../verbs.ts";

export const MAPPING: Verbs = {
  mmap: {
    usage: "PID LENGTH [--prot rwx] [--shared] [--file PATH] [--offset N] [--at ADDR] [--populate] [--huge]",
    summary: "map memory, or a file of /tmp; prints where",
    operands: [2, 2],
    options: { prot: "p:", shared: "s", file: "f:", offset: "o:", at: "a:", populate: "P", huge: "H" },
    *run(call) {
      const request = requestOf(call);
      const path = call.options.values.get("f");
      const address = yield* systemCall(call, call.operands[0] ?? "", function* (mm) {
        const mapped =
          path === undefined
            ? yield* mmap(mm, request)
            : yield* call.space.withFile(call.io.path(path), (file) => mmap(mm, { ...request, file }));
        if (call.options.flags.has("H")) yield* makeHuge(mm, mapped, request.length, call);
        return mapped;
      });
      call.io.out(`${hex(address)}\n`);
      return 0;
    },
  },
  munmap: {
    usage: "PID ADDR LENGTH",
    summary: "unmap a range",
    operands: [3, 3],
    *run(call) {
      const [pid = "", address = "", length = ""] = call.operands;
      yield* systemCall(call, pid, (mm) => munmap(mm, addressOf(address), sizeOf(length)));
      return 0;
    },
  },
  mprotect: {
    usage: "PID ADDR LENGTH PROT",
    summary: "change what a range allows: rw, r-x, - for nothing",
    operands: [4, 4],
    *run(call) {
      const [pid = "", address = "", length = "", prot = ""] = call.operands;
      yield* systemCall(call, pid, (mm) => mprotect(mm, addressOf(address), sizeOf(length), protOf(prot)));
      return 0;
    },
  },
  mremap: {
    usage: "PID ADDR LENGTH NEW-LENGTH [--maymove] [--to ADDR] [--dontunmap]",
    summary: "resize or move a mapping; prints where it is",
    operands: [4, 4],
    options: { maymove: "m", to: "t:", dontunmap: "d" },
    *run(call) {
      const [pid = "", address = "", oldLength = "", newLength = ""] = call.operands;
      const { flags, values } = call.options;
      const to = values.get("t");
      const moved = yield* systemCall(call, pid, (mm) =>
        mremap(mm, {
          address: addressOf(address),
          oldLength: sizeOf(oldLength),
          newLength: sizeOf(newLength),
          flags:
            (flags.has("m") || to !== undefined || flags.has("d") ? MremapFlag.MAYMOVE : 0) |
            (to === undefined ? 0 : MremapFlag.FIXED) |
            (flags.has("d") ? MremapFlag.DONTUNMAP : 0),
          ...(to !== undefined && { newAddress: addressOf(to) }),
        }),
      );
      call.io.out(`${hex(moved)}\n`);
      return 0;
    },
  },
  brk: {
    usage: "PID [ADDR]",
    summary: "move the end of the heap; prints where it is",
    operands: [1, 2],
    *run(call) {
      const [pid = "", address] = call.operands;
      const mm = mmOf(call, pid);
      const end =
        address === undefined ? mm.brk : yield* systemCall(call, pid, () => brk(mm, addressOf(address)));
      call.io.out(`${hex(end)}\n`);
      return 0;
    },
  },
};

function requestOf({ operands, options: { flags, values } }: Call): MmapRequest {
  const at = values.get("a");
  const file = values.has("f");
  // Huge pages come only once the mapping has been advised: it is populated behind that.
  const populate = flags.has("P") && !flags.has("H");
  return {
    length: sizeOf(operands[1] ?? ""),
    prot: values.has("p") ? protOf(values.get("p") ?? "") : Prot.READ | Prot.WRITE,
    flags:
      (flags.has("s") ? MapFlag.SHARED : MapFlag.PRIVATE) |
      (file ? 0 : MapFlag.ANONYMOUS) |
      (at === undefined ? 0 : MapFlag.FIXED) |
      (populate ? MapFlag.POPULATE : 0),
    ...(at !== undefined && { address: addressOf(at) }),
    ...(values.has("o") && { offset: sizeOf(values.get("o") ?? "") }),
  };
}

function* makeHuge(mm: MmStruct, address: VirtAddr, length: number, { options }: Call): Sleeps<void> {
  yield* madvise(mm, address, length, Madv.HUGEPAGE);
  if (options.flags.has("P")) yield* madvise(mm, address, length, Madv.POPULATE_WRITE);
}
