// What changes an address space, beside whoever takes its pages away: see rivals-of-paths.ts.
import { condResched } from "@hetmem/kernel";
import {
  ANON,
  ELSEWHERE,
  FILE,
  PAGES,
  PRIVATE_FILE,
  readAll,
  SHMEM,
  writeAndCheck,
} from "@hetmem/test-machines/rival-world";
import { testPaths } from "@hetmem/test-machines/rivals-of-paths";
import { mmOf, PAGE, pageAt } from "@hetmem/test-machines/vm-machine";
import { exitProcess } from "../src/process/exit.ts";
import { forkProcess } from "../src/process/fork.ts";
import { madvise } from "@hetmem/madvise";
import { Madv, MremapFlag } from "../src/vma/map-flags.ts";
import { mlock, munlock } from "../src/vma/mlock.ts";
import { mprotect } from "../src/vma/mprotect.ts";
import { mremap } from "../src/vma/mremap.ts";
import { munmap } from "../src/vma/munmap.ts";
import { Prot } from "../src/vma/vm-flags.ts";

testPaths(
  {
    *"a write to pages that are shared since a fork"(world) {
      yield* writeAndCheck(world.parent, ANON, 100);
      yield* writeAndCheck(world.parent, PRIVATE_FILE, 101);
    },
    *"a fork"({ parent }) {
      const child = yield* forkProcess(parent);
      yield* readAll(child, ANON);
      yield* exitProcess(child);
    },
    *"an exit"({ machine, parent }) {
      const other = yield* forkProcess(parent);
      yield condResched;
      yield* exitProcess(other);
      machine.vm.processes.get(parent.pid);
    },
    *"an munmap"({ parent }) {
      yield* munmap(mmOf(parent), ANON, 3 * PAGE);
      yield* munmap(mmOf(parent), PRIVATE_FILE, PAGES * PAGE);
    },
    *"an mprotect"({ parent }) {
      yield* mprotect(mmOf(parent), ANON, PAGES * PAGE, Prot.READ);
      yield* mprotect(mmOf(parent), FILE, PAGES * PAGE, Prot.READ);
      yield* mprotect(mmOf(parent), ANON, PAGES * PAGE, Prot.READ | Prot.WRITE);
    },
    *"an mremap"({ parent }) {
      const flags = MremapFlag.MAYMOVE | MremapFlag.FIXED;
      const request = { address: ANON, oldLength: PAGES * PAGE, newLength: PAGES * PAGE, flags };
      yield* mremap(mmOf(parent), { ...request, newAddress: ELSEWHERE });
      yield* readAll(parent, ELSEWHERE);
    },
    *"madvise(DONTNEED), (FREE) and (COLD)"({ parent }) {
      yield* madvise(mmOf(parent), ANON, 2 * PAGE, Madv.FREE);
      yield* madvise(mmOf(parent), pageAt(ANON, 2), PAGE, Madv.DONTNEED);
      yield* madvise(mmOf(parent), SHMEM, PAGES * PAGE, Madv.COLD);
      yield* readAll(parent, ANON);
    },
    *"mlock and munlock"({ parent }) {
      yield* mlock(mmOf(parent), ANON, PAGES * PAGE);
      yield* mlock(mmOf(parent), SHMEM, PAGES * PAGE);
      yield* munlock(mmOf(parent), ANON, PAGES * PAGE);
    },
  },
  {
    "an munmap": ["reclaim: ENOMEM", "mprotect: ENOMEM"],
    "an mprotect": ["path: ENOMEM"],
    "an mremap": ["reclaim: ENOMEM"],
    "mlock and munlock": ["path: ENOMEM", "reclaim: EINVAL"],
  },
);
