// Resource limits of a process: a soft limit that is enforced, and a hard limit up to which the process may raise the
// soft one. Kernel counterparts: include/uapi/asm-generic/resource.h, do_prlimit() in kernel/sys.c, proc_pid_limits()
// in fs/proc/base.c. Not modelled: limits other than data, stack, memlock and as are stored and shown, but not
// enforced.
import { KernelError, MiB } from "@hetmem/kernel";
import { Cap, type Credentials } from "./credentials.ts";

/** One limit, in the unit of its resource. RLIM_INFINITY is Infinity. */
export interface Rlimit {
  readonly soft: number;
  readonly hard: number;
}

/** The resources in the kernel's order, with the names and units of /proc/PID/limits. */
export const RLIMITS = {
  cpu: ["Max cpu time", "seconds"],
  fsize: ["Max file size", "bytes"],
  data: ["Max data size", "bytes"],
  stack: ["Max stack size", "bytes"],
  core: ["Max core file size", "bytes"],
  rss: ["Max resident set", "bytes"],
  nproc: ["Max processes", "processes"],
  nofile: ["Max open files", "files"],
  memlock: ["Max locked memory", "bytes"],
  as: ["Max address space", "bytes"],
  locks: ["Max file locks", "locks"],
  sigpending: ["Max pending signals", "signals"],
  msgqueue: ["Max msgqueue size", "bytes"],
  nice: ["Max nice priority", undefined],
  rtprio: ["Max realtime priority", undefined],
  rttime: ["Max realtime timeout", "us"],
} as const satisfies Record<string, readonly [words: string, unit: string | undefined]>;
export type RlimitName = keyof typeof RLIMITS;

/** The limits that the model enforces. */
export const HONOURED_RLIMITS: ReadonlySet<RlimitName> = new Set(["data", "stack", "memlock", "as"]);

/** Largest hard limit of open files. @see sysctl_nr_open */
const NR_OPEN = 1024 * 1024;
/** Bytes of RAM per task in the default limit of tasks. @see set_max_threads() */
const BYTES_PER_THREAD = 8 * 16_384;

/** The resource limits of a process. @see struct rlimit */
export class Rlimits {
  private readonly limits: Map<RlimitName, Rlimit>;

  private constructor(limits: Iterable<readonly [RlimitName, Rlimit]>) {
    this.limits = new Map(limits);
  }

  /**
   * Limits of process 1.
   *
   * @param ramBytes RAM of the machine at boot, in bytes
   * @param soft soft limits that replace the kernel's
   * @see INIT_RLIMITS, fork_init()
   */
  static ofInit(ramBytes: number, soft: Partial<Record<RlimitName, number>> = {}): Rlimits {
    const tasks = softAndHard(Math.floor(Math.floor(ramBytes / BYTES_PER_THREAD) / 2));
    const finite: Partial<Record<RlimitName, Rlimit>> = {
      stack: { soft: 8 * MiB, hard: Number.POSITIVE_INFINITY },
      core: { soft: 0, hard: Number.POSITIVE_INFINITY },
      nproc: tasks,
      nofile: { soft: 1024, hard: 4096 },
      memlock: softAndHard(8 * MiB),
      sigpending: tasks,
      msgqueue: softAndHard(819_200),
      nice: softAndHard(0),
      rtprio: softAndHard(0),
    };
    return new Rlimits(
      rlimitNames().map((name) => {
        const { soft: usual, hard } = finite[name] ?? softAndHard(Number.POSITIVE_INFINITY);
        const chosen = soft[name] ?? usual;
        return [name, { soft: chosen, hard: Math.max(chosen, hard) }];
      }),
    );
  }

  /** A copy for a child. */
  copy(): Rlimits {
    return new Rlimits(this.limits);
  }

  get(name: RlimitName): Rlimit {
    return this.limits.get(name) ?? softAndHard(Number.POSITIVE_INFINITY);
  }

  /**
   * Sets a limit.
   *
   * @param setter credentials of the caller
   * @throws KernelError EINVAL for a soft limit above the hard one; EPERM for a raised hard limit without
   *   CAP_SYS_RESOURCE, or more open files than fs.nr_open
   * @see do_prlimit()
   */
  set(name: RlimitName, limit: Rlimit, setter: Credentials): void {
    if (limit.soft > limit.hard)
      throw new KernelError("EINVAL", `a soft limit of ${limit.soft} is above the hard one, ${limit.hard}`);
    if (name === "nofile" && limit.hard > NR_OPEN)
      throw new KernelError("EPERM", `${limit.hard} open files are more than fs.nr_open, ${NR_OPEN}`);
    const { hard } = this.get(name);
    if (limit.hard > hard && !setter.capable(Cap.SYS_RESOURCE))
      throw new KernelError("EPERM", `the hard limit is ${hard}: only CAP_SYS_RESOURCE raises it`);
    this.limits.set(name, limit);
  }

  /** Text of /proc/PID/limits. @see proc_pid_limits() */
  format(): string {
    const head = "Limit                     Soft Limit           Hard Limit           Units     \n";
    const lines = rlimitNames().map((name) => {
      const [words, unit] = RLIMITS[name];
      const { soft, hard } = this.get(name);
      const columns = `${words.padEnd(25)} ${valueText(soft).padEnd(20)} ${valueText(hard).padEnd(20)} `;
      return `${columns}${unit === undefined ? "" : unit.padEnd(10)}\n`;
    });
    return head + lines.join("");
  }
}

/** The names of the resources in the kernel's order. */
export function rlimitNames(): RlimitName[] {
  return Object.keys(RLIMITS) as RlimitName[];
}

function softAndHard(value: number): Rlimit {
  return { soft: value, hard: value };
}

function valueText(value: number): string {
  return value === Number.POSITIVE_INFINITY ? "unlimited" : `${value}`;
}
