// Kinds of values in a machine file, each with a sentence for a value that doesn't fit, and with its shape in the words of JSON
// Schema. Sizes and lists come out as numbers.
import { KernelError, memparse, parseIdList, plainText } from "@hetmem/kernel";
import * as v from "valibot";
import { CGROUP_FEATURES, type CgroupFeature } from "./machine-spec.ts";

/** Letters of a name, a path or a command. @see PATH_MAX in include/uapi/linux/limits.h */
const TEXT_LENGTH_MAX = 4096;
const SIZE_FIX = "write a number, then K, M, G or T";
/** Letters of a value that are quoted in a complaint. */
const QUOTED_MAX = 60;
/** Ways of interleaving; 0 is memory that the command line set aside. */
const WAYS = [0, 1, 2, 4, 8, 16] as const;

/** JSON Schema of a value before it is read: keywords of draft 7. The title is what a person calls such a value. */
type Shape = Readonly<Record<string, unknown>>;

const WHOLE: Shape = { title: "whole number", type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const SIZE = "^\\s*(0[xX][0-9a-fA-F]+|[0-9]+)[kKmMgGtTpPeE]?([iI]?[bB])?\\s*$";
const CPUS = "^\\s*([0-9]{1,5}(-[0-9]{1,5})?)?(,([0-9]{1,5}(-[0-9]{1,5})?)?)*\\s*$";
const LINE = "^[^\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]*$";

/** A number of bytes: 4096, "128M", 0x100000000. */
export const size = parsed(
  (input) => {
    const bytes =
      typeof input === "number" || typeof input === "string" ? memparse(String(input)) : undefined;
    return Number.isSafeInteger(bytes) ? bytes : undefined;
  },
  `is not a size; ${SIZE_FIX}`,
  { ...WHOLE, title: "size", type: ["integer", "string"], pattern: SIZE },
);

/** CPU numbers: 0, "0-3,8", [0, 1]. */
export const cpus = parsed(
  (input) => {
    if (Array.isArray(input))
      return input.every((cpu) => Number.isInteger(cpu) && cpu >= 0) ? (input as number[]) : undefined;
    // A range is written out in full: none so long as to fill the memory.
    if (/\d{6}/.test(String(input))) return undefined;
    return typeof input === "number" || typeof input === "string" ? parseIdList(String(input)) : undefined;
  },
  "is not a list of CPUs; write one like 0-3,8",
  {
    title: "CPUs",
    type: ["integer", "string", "array"],
    minimum: 0,
    maximum: 99_999,
    pattern: CPUS,
    items: { type: "integer", minimum: 0 },
  },
);

export const distance = parsed(
  (input) => (typeof input === "number" ? input : undefined),
  "is not a distance; write a number, 10 for the node itself",
  { title: "number", type: "number" },
);

export const count = parsed(
  (input) => (Number.isSafeInteger(input) && Number(input) >= 0 ? Number(input) : undefined),
  "is not a whole number",
  WHOLE,
);

export const modules = parsed(
  (input) => WAYS.find((ways) => ways === input),
  "can't be: memory is interleaved over 1, 2, 4, 8 or 16 modules; write one of these",
  { title: "0, 1, 2, 4, 8 or 16", enum: WAYS },
);

/** A line without control characters. */
export const text = parsed(
  (input) => {
    const words = typeof input === "string" || typeof input === "number" ? String(input) : undefined;
    return words === undefined ||
      words.length > TEXT_LENGTH_MAX ||
      plainText(words) !== words ||
      /[\n\t]/.test(words)
      ? undefined
      : words;
  },
  `is not a text of one line and at most ${TEXT_LENGTH_MAX} letters`,
  { title: "text", type: ["string", "number"], maxLength: TEXT_LENGTH_MAX, pattern: LINE },
);

/** A list for cgroup_disable=: "memory", "memory,pressure", [memory, pressure]. */
export const cgroupFeatures = parsed<readonly CgroupFeature[]>(
  (input) => {
    const words: readonly unknown[] = Array.isArray(input) ? input : String(input).split(",");
    const known = CGROUP_FEATURES.filter((feature) => words.includes(feature));
    return known.length === words.length && known.length > 0 ? known : undefined;
  },
  `is not a list of what cgroups can do without; write ${CGROUP_FEATURES.join(" or ")}`,
  {
    title: CGROUP_FEATURES.join(" or "),
    anyOf: [
      { enum: ["memory", "pressure", "memory,pressure", "pressure,memory"] },
      { type: "array", items: { enum: CGROUP_FEATURES }, minItems: 1, uniqueItems: true },
    ],
  },
);

export const flag = parsed(
  (input) => (typeof input === "boolean" ? input : undefined),
  "is neither true nor false",
  { title: "true or false", type: "boolean" },
);

/** A value that `read` can convert; `read` returns undefined or throws a KernelError for others. */
function parsed<T>(read: (input: unknown) => T | undefined, complaint: string, shape: Shape) {
  return v.pipe(
    v.unknown(),
    v.metadata(shape),
    v.rawTransform<unknown, T>(({ dataset, addIssue, NEVER }) => {
      const value = unlessRefused(() => read(dataset.value));
      if (value !== undefined) return value;
      addIssue({ message: `${quote(dataset.value)} ${complaint}` });
      return NEVER;
    }),
  );
}

export function oneOf<const T extends readonly string[]>(values: T) {
  return v.picklist(
    values,
    (issue) =>
      `${quote(issue.input)} is not known; write ${values.join(", ").replace(/, (?=[^,]*$)/, " or ")}`,
  );
}

/** @param max entries at most */
export function list<const S extends v.GenericSchema>(item: S, of: string, max: number) {
  return v.pipe(
    v.array(item, (issue) => `${quote(issue.input)} is not a list of ${of}; write each behind a dash`),
    v.maxLength(max, ({ input }) => `${input.length} ${of} are too many; write at most ${max}`),
  );
}

/** A group of names and values, in which no other name may stand. */
export function object<const E extends v.ObjectEntries>(entries: E) {
  const keys = Object.keys(entries).join(", ");
  return v.pipe(
    group((input) =>
      input === null
        ? `nothing is here; the names are ${keys}`
        : `${quote(input)} is not a group of names and values; the names are ${keys}`,
    ),
    v.strictObject(entries, ({ expected }) =>
      expected === "never"
        ? `nothing is called so here; the names are ${keys}`
        : "is missing, and it is needed",
    ),
  );
}

/** Numbers by name. */
export function numbers() {
  return v.pipe(
    group((input) => `${quote(input)} is not a group of names and values`),
    v.record(v.string(), count),
  );
}

/** Schemas of valibot take a list for a group without names. */
function group(complaint: (input: unknown) => string) {
  return v.custom<Readonly<Record<string, unknown>>>(isObject, ({ input }) => complaint(input));
}

/**
 * A value with the sentence that documents it.
 *
 * @param description what it is, in which unit, and what holds without it where no `fallback` can say that
 * @param fallback what holds without it, as a file would have it
 */
export function described<const S extends v.GenericSchema>(
  schema: S,
  description: string,
  fallback?: string | number | boolean,
) {
  return v.pipe(schema, v.metadata({ description, ...(fallback !== undefined && { default: fallback }) }));
}

export function isObject(input: unknown): boolean {
  return typeof input === "object" && input !== null && !Array.isArray(input);
}

function quote(input: unknown): string {
  const isText = typeof input === "string";
  // A text is quoted on one line, as JSON writes it; of a long one the end is missing, and is not escaped in half.
  const shown = isText && input.length > QUOTED_MAX ? input.slice(0, QUOTED_MAX) : input;
  // JSON has no word for .inf and .nan of YAML.
  const whole = typeof shown === "number" ? String(shown) : (JSON.stringify(shown) ?? "nothing");
  if (isText) return shown === input ? whole : `${whole.slice(0, -1)}…"`;
  return whole.length > QUOTED_MAX ? `${whole.slice(0, QUOTED_MAX)}…` : whole;
}

function unlessRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
