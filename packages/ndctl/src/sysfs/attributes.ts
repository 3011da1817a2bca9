// Reading and writing the files of a device as the two libraries do it. User space counterpart: util/sysfs.c of ndctl.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { Vfs } from "@hetmem/vfs";

/** Anything that has the file tree of a machine. */
export interface TreeContext {
  readonly vfs: Vfs;
}

/** The text of a file without blanks at its ends; undefined where it is missing or can't be read. @see sysfs_read_attr() */
export function* attribute({ vfs }: TreeContext, path: string): Sleeps<string | undefined> {
  try {
    return (yield* vfs.read(path)).trim();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

/** The number in a file, decimal or with 0x; undefined for an empty file, and where attribute() gives undefined. */
export function* numberIn(context: TreeContext, path: string): Sleeps<number | undefined> {
  const text = yield* attribute(context, path);
  return text === undefined || text === "" ? undefined : Number(text);
}

/** Writes a file. @throws KernelError the kernel's refusal @see sysfs_write_attr() */
export function* writeAttribute({ vfs }: TreeContext, path: string, text: string): Sleeps<void> {
  yield* vfs.write(path, text);
}

/** Writes a file. @returns the kernel's refusal, undefined where the kernel takes the text */
export function* refusalOf(
  context: TreeContext,
  path: string,
  text: string,
): Sleeps<KernelError | undefined> {
  try {
    yield* writeAttribute(context, path, text);
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
}

/** The names in a directory; none where there is no such directory. */
export function namesIn({ vfs }: TreeContext, folder: string): string[] {
  return orElse(() => vfs.list(folder).map(({ name }) => name), []);
}

/** The path of a directory without links; undefined where nothing is there. */
export function realPath({ vfs }: TreeContext, path: string): string | undefined {
  return orElse<string | undefined>(() => vfs.realpath(path), undefined);
}

/** The name of the driver that a device is bound to; undefined where none is. */
export function driverOf(context: TreeContext, { path }: { readonly path: string }): string | undefined {
  return realPath(context, `${path}/driver`)?.split("/").at(-1);
}

/** Numbers to choose from, as the kernel shows them: `512 [4096] `. @see nd_size_select_show() */
export interface Choice {
  readonly supported: readonly number[];
  /** The one in brackets, 0 where nothing is chosen. */
  readonly chosen: number;
}

/** @see parse_lbasize_supported() in ndctl/lib/libndctl.c */
export function* choiceIn(context: TreeContext, path: string): Sleeps<Choice> {
  const words = ((yield* attribute(context, path)) ?? "").split(" ").filter((word) => word !== "");
  const chosen = words.find((word) => word.startsWith("["));
  const numberOf = (word: string): number => Number(word.replace(/[[\]]/g, ""));
  return { supported: words.map(numberOf), chosen: chosen === undefined ? 0 : numberOf(chosen) };
}

function orElse<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch (error) {
    if (error instanceof KernelError) return otherwise;
    throw error;
  }
}
