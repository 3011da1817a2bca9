// A cgroup as a directory of /sys/fs/cgroup: core files, controllers' files, and child cgroups. mkdir and rmdir
// create and remove cgroups. Kernel counterparts: css_populate_dir() and cgroup_kf_syscall_ops in
// kernel/cgroup/cgroup.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { Attribute, TreeDirectory } from "@hetmem/vfs";
import type { Cgroup } from "./cgroup.ts";
import type { CoreFiles } from "./core-files.ts";
import type { CgroupHierarchy } from "./hierarchy.ts";
import type { CgroupFile, CgroupTask } from "./subsys.ts";

/** A file bound to its cgroup or to a controller's state. */
interface Bound {
  readonly file: CgroupFile<object>;
  readonly of: object;
  /** Whether the file still exists. */
  exists(): boolean;
  /** Takes a reference on `of` for the time of a read or write that sleeps. */
  get(): void;
  put(): void;
}

export class CgroupDirectory<T extends CgroupTask> implements TreeDirectory {
  readonly #hierarchy: CgroupHierarchy<T>;
  readonly #coreFiles: CoreFiles<T>;
  readonly #cgroup: Cgroup<T>;

  constructor(hierarchy: CgroupHierarchy<T>, coreFiles: CoreFiles<T>, cgroup: Cgroup<T> = hierarchy.root) {
    this.#hierarchy = hierarchy;
    this.#coreFiles = coreFiles;
    this.#cgroup = cgroup;
  }

  *fileNames(): Iterable<string> {
    const cgroup = this.#cgroup;
    for (const [name, file] of Object.entries(this.#coreFiles)) if (isIn(cgroup, file)) yield name;
    for (const [place, subsys] of this.#hierarchy.subsystems.entries()) {
      if (!cgroup.ownCss(place)) continue;
      for (const [name, file] of Object.entries(subsys.files))
        if (isIn(cgroup, file)) yield `${subsys.name}.${name}`;
    }
  }

  *directoryNames(): Iterable<string> {
    for (const { name } of this.#cgroup.children) yield name;
  }

  file(name: string): Attribute | undefined {
    const bound = this.#core(name) ?? this.#ofController(name);
    return bound && attributeOf(bound);
  }

  directory(name: string): TreeDirectory | undefined {
    const child = this.#cgroup.child(name);
    return child && new CgroupDirectory(this.#hierarchy, this.#coreFiles, child);
  }

  mkdir(name: string): void {
    this.#hierarchy.mkdir(this.#cgroup, name);
  }

  rmdir(name: string): void {
    const child = this.#cgroup.child(name);
    if (!child) throw new KernelError("ENOENT", `${this.#cgroup.path} has no cgroup ${name}`);
    this.#hierarchy.rmdir(child);
  }

  #core(name: string): Bound | undefined {
    const cgroup = this.#cgroup;
    const file = Object.hasOwn(this.#coreFiles, name) ? this.#coreFiles[name] : undefined;
    if (!file || !isIn(cgroup, file)) return undefined;
    return {
      file: file as CgroupFile<object>,
      of: cgroup,
      exists: () => !cgroup.dead,
      get: () => cgroup.get(),
      put: () => cgroup.put(),
    };
  }

  #ofController(name: string): Bound | undefined {
    const cgroup = this.#cgroup;
    const { subsystems } = this.#hierarchy;
    const place = subsystems.findIndex((subsys) => name.startsWith(`${subsys.name}.`));
    const css = cgroup.ownCss(place);
    const subsys = subsystems[place];
    if (!css || !subsys) return undefined;
    const own = name.slice(subsys.name.length + 1);
    const file = Object.hasOwn(subsys.files, own) ? subsys.files[own] : undefined;
    if (!file || !isIn(cgroup, file)) return undefined;
    return {
      file,
      of: css,
      exists: () => cgroup.ownCss(place) === css,
      get: () => subsys.cssGet(css),
      put: () => subsys.cssPut(css),
    };
  }
}

function isIn<C>(cgroup: Cgroup, { notOnRoot = false }: CgroupFile<C>): boolean {
  return !notOnRoot || cgroup.parent !== undefined;
}

/**
 * Reads and writes of a file that was removed after it was opened fail with ENODEV.
 *
 * @see kernfs_get_active() in fs/kernfs/dir.c
 */
function attributeOf(bound: Bound): Attribute {
  const { file, of } = bound;
  const { show, store } = file;
  return {
    ...(show && { show: (): string | Sleeps<string> => checked(bound, () => show(of)) }),
    ...(store && { store: (_, text): void | Sleeps<void> => checked(bound, () => store(of, text)) }),
  };
}

function checked<R extends string | void>(bound: Bound, action: () => R | Sleeps<R>): R | Sleeps<R> {
  if (!bound.exists()) throw new KernelError("ENODEV", "the cgroup or its controller has gone");
  const result = action();
  return typeof result === "object" ? held(bound, result) : result;
}

function* held<R>(bound: Bound, task: Sleeps<R>): Sleeps<R> {
  bound.get();
  try {
    return yield* task;
  } finally {
    bound.put();
  }
}
