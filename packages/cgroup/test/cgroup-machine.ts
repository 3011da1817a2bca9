// A machine with nothing but tasks and cgroups: two controllers that note what they are told, mounted at /sys/fs/cgroup.
import { condResched, KernelError, run } from "@hetmem/kernel";
import { Vfs } from "@hetmem/vfs";
import {
  type Cgroup,
  CgroupDirectory,
  CgroupHierarchy,
  cgroupProcTable,
  type CgroupSubsys,
  type CgroupTask,
  type HierarchyRules,
  legacy,
  legacyFiles,
  unified,
  unifiedFiles,
} from "../src/index.ts";

/** A controller's state of one cgroup. */
export interface Account {
  readonly name: string;
  limit: string;
  state: "online" | "offline" | "released";
}

class Accounts implements CgroupSubsys<CgroupTask, Account> {
  readonly name: string;
  readonly rootCss: Account = { name: "", limit: "max", state: "online" };
  /** The last charge, and its cgroup. */
  readonly payers: Map<CgroupTask, Account> = new Map();
  /** Accounts that were closed and that something is still charged to: how to settle them. */
  readonly owing: Map<Account, () => void> = new Map();
  /** What is charged keeps an account when its cgroup goes. */
  keeps = false;
  /** The tasks that use an account now. */
  readonly users: Map<Account, number> = new Map();
  /** Accounts that can still be made. */
  room: number = Number.POSITIVE_INFINITY;
  readonly files: CgroupSubsys<CgroupTask, Account>["files"] = {
    usage: { show: ({ name }) => `${name}\n` },
    limit: {
      notOnRoot: true,
      show: ({ limit }) => `${limit}\n`,
      *store(account, text) {
        yield condResched;
        account.limit = text.trim();
      },
    },
  };

  constructor(name: string) {
    this.name = name;
  }

  cssCreate(_parent: Account, name: string): Account {
    if (this.room-- <= 0) throw new KernelError("ENOMEM", `no memory for ${name}`);
    return { name, limit: "max", state: "online" };
  }

  cssOffline(css: Account, released: () => void): void {
    css.state = "offline";
    const release = (): void => {
      css.state = "released";
      released();
    };
    if (this.keeps || this.users.has(css)) this.owing.set(css, release);
    else release();
  }

  cssGet(css: Account): void {
    this.users.set(css, (this.users.get(css) ?? 0) + 1);
  }

  cssPut(css: Account): void {
    const left = (this.users.get(css) ?? 0) - 1;
    if (left > 0) this.users.set(css, left);
    else this.users.delete(css);
    if (left > 0 || this.keeps) return;
    this.owing.get(css)?.();
    this.owing.delete(css);
  }

  attach(task: CgroupTask, css: Account): void {
    this.payers.set(task, css);
  }

  exit(task: CgroupTask): void {
    this.payers.delete(task);
  }
}

export interface CgroupMachine {
  readonly memory: Accounts;
  readonly io: Accounts;
  readonly hierarchy: CgroupHierarchy;
  readonly vfs: Vfs;
  readonly tasks: Map<number, CgroupTask>;
  readonly killed: number[];
  /** A task begins. */
  start(pid: number, parent?: number): CgroupTask;
  at(path: string): Cgroup;
  read(path: string): string;
  write(path: string, text: string): void;
}

export function cgroupMachine(rules: HierarchyRules = unified): CgroupMachine {
  const [memory, io] = [new Accounts("memory"), new Accounts("io")];
  const tasks = new Map<number, CgroupTask>();
  const killed: number[] = [];
  const hierarchy = new CgroupHierarchy<CgroupTask>({
    subsystems: rules === legacy ? [memory] : [memory, io],
    tasks: {
      find: (pid) => tasks.get(pid),
      get current() {
        return tasks.get(1);
      },
      kill: (victims) => void killed.push(...victims.map(({ pid }) => pid)),
    },
    rules,
  });
  const files = rules === legacy ? legacyFiles(hierarchy) : unifiedFiles(hierarchy);
  const vfs = new Vfs();
  vfs.mount({ root: "/sys/fs", trees: { cgroup: new CgroupDirectory(hierarchy, files) } });
  vfs.mount(
    cgroupProcTable(hierarchy, {
      pids: () => tasks.keys(),
      find: (pid) => tasks.get(pid),
      disabled: ["cpu"],
    }),
  );
  return {
    memory,
    io,
    hierarchy,
    vfs,
    tasks,
    killed,
    start(pid, parent) {
      const task = { pid };
      tasks.set(pid, task);
      hierarchy.fork(task, parent === undefined ? undefined : tasks.get(parent));
      return task;
    },
    at(path) {
      const cgroup = hierarchy.find(path);
      if (!cgroup) throw new Error(`no cgroup ${path}`);
      return cgroup;
    },
    read: (path) => run(vfs.read(`/sys/fs/cgroup${path}`)),
    write: (path, text) => run(vfs.write(`/sys/fs/cgroup${path}`, `${text}\n`)),
  };
}
