// One program holds one version of each package. Below 1.0 the layout of struct pages, the bits of flags and the interfaces of ports may change
// with every release, so that code of one version would read wrongly, without a word, what another has made. Kernel counterpart: the
// version magic of modules.
import { KernelError } from "./error.ts";

const VERSIONS = versionsOfProgram();

/**
 * Records the version of a package that is being loaded. Each package calls this once, from its `version.ts`. Two copies of one version go
 * together: `acrossCopies()` is for their classes.
 *
 * @param name name on npm
 * @throws KernelError ENOEXEC when another version of the package has been loaded
 * @see check_modinfo() in kernel/module/main.c: vermagic
 */
export function onlyVersion(name: string, version: string): void {
  const loaded = VERSIONS.get(name) ?? version;
  VERSIONS.set(name, loaded);
  if (loaded === version) return;
  throw new KernelError(
    "ENOEXEC",
    `versions ${loaded} and ${version} of ${name} are both in this program, and neither can use what the other makes: ` +
      `\`npm ls ${name}\` shows which packages ask for them; install releases that ask for the same one`,
  );
}

/** Versions by package, of all copies of this module. */
function versionsOfProgram(): Map<string, string> {
  const key = Symbol.for("hetmem.versions");
  // oxlint-disable-next-line no-restricted-globals -- the one place that all copies share; it decides nothing but whether they may be loaded
  const program = globalThis as { [key]?: Map<string, string> };
  return (program[key] ??= new Map());
}
