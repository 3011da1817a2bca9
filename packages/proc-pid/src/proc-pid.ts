// The files of /proc/PID: one directory for each process. Files that walk mappings or page tables take the mmap lock,
// and so may sleep. /proc/self depends on the reader: the package that runs programs adds it. Kernel counterpart:
// tgid_base_stuff in fs/proc/base.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { type MmStruct, type Process, type Vm, VmFlag } from "@hetmem/mm";
import type { AttributeTable, Params } from "@hetmem/vfs";
import { ClearRefs, clearRefs, parseClearRefs } from "./clear-refs.ts";
import { mapsText } from "./maps.ts";
import { numaMapsText } from "./numa-maps.ts";
import { oomScoreText, storeOomScoreAdj } from "./oom-score.ts";
import { type PagemapOptions, readPagemap } from "./pagemap.ts";
import { smapsRollupText, smapsText } from "./smaps.ts";
import { statmText, statusText } from "./status.ts";
import "./version.ts";

/** Options of the files. Both are true by default: root reads, and soft-dirty pages are tracked. */
export type ProcPidOptions = Partial<PagemapOptions>;

/** The table of /proc/PID. @see tgid_base_stuff */
export function procPidTable(vm: Vm, options: ProcPidOptions = {}): AttributeTable {
  const { privileged = true, softDirty = true } = options;
  const hidden = softDirty ? 0 : VmFlag.SOFTDIRTY;
  const processOf = ({ pid }: Params): Process => vm.processes.get(Number(pid));
  const mmOf = (params: Params): MmStruct | undefined => processOf(params).mm;
  return {
    root: "/proc",
    instances: { pid: () => [...vm.processes].map(({ pid }) => `${pid}`) },
    exists: { pid: (name) => /^[1-9]\d*$/.test(name) && vm.processes.find(Number(name)) !== undefined },
    files: {
      "{pid}/clear_refs": {
        *store(params, text) {
          const type = parseClearRefs(text);
          const mm = mmOf(params);
          if (mm && (softDirty || type !== ClearRefs.softDirty)) yield* clearRefs(mm, type);
        },
      },
      "{pid}/cmdline": {
        show: (params) =>
          processOf(params)
            .argv.map((word) => `${word}\0`)
            .join(""),
      },
      "{pid}/comm": {
        show: (params) => `${processOf(params).comm}\n`,
        store(params) {
          const { pid } = processOf(params);
          throw new KernelError("EINVAL", `only process ${pid} itself may change its name`);
        },
      },
      "{pid}/limits": { show: (params) => processOf(params).rlimits.format() },
      "{pid}/maps": { show: (params) => textOf(mmOf(params), mapsText) },
      "{pid}/numa_maps": { show: (params) => textOf(mmOf(params), numaMapsText) },
      "{pid}/oom_score": { show: (params) => oomScoreText(vm, processOf(params)) },
      "{pid}/oom_score_adj": {
        show: (params) => `${processOf(params).oomScoreAdj}\n`,
        store: (params, text) => storeOomScoreAdj(processOf(params), text),
      },
      "{pid}/pagemap": {
        mode: 0o400,
        *readAt(params, offset, length) {
          const mm = mmOf(params);
          if (!mm) return new Uint8Array(0);
          return yield* readPagemap(mm, offset, length, { privileged, softDirty });
        },
      },
      "{pid}/smaps": { show: (params) => textOf(mmOf(params), (mm) => smapsText(mm, hidden)) },
      "{pid}/smaps_rollup": { show: (params) => rollupOf(processOf(params)) },
      "{pid}/statm": { show: (params) => statmText(mmOf(params)) },
      "{pid}/status": { show: (params) => statusText(processOf(params), vm.memory) },
    },
  };
}

/** The text of a file; empty for a process that has ended. */
function* textOf(mm: MmStruct | undefined, text: (mm: MmStruct) => Sleeps<string>): Sleeps<string> {
  return mm ? yield* text(mm) : "";
}

/** The text of smaps_rollup. @throws KernelError ESRCH for a process that has ended */
function* rollupOf(process: Process): Sleeps<string> {
  const text = process.mm && (yield* smapsRollupText(process.mm));
  if (text === undefined) throw new KernelError("ESRCH", `process ${process.pid} has exited`);
  return text;
}
