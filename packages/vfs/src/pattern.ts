// One segment of a path pattern: `memory{block}` is a literal, then a parameter. expand() lists the names that exist
// now with the values of their parameters; match() gives the values for one name.
import { KernelBug } from "@hetmem/kernel";
import type { AttributeTable, Params } from "./attribute.ts";

/** The key is the text of the segment: see partsOf(). */
const PARTS = new Map<string, readonly Part[]>();

type Part = { readonly literal: string } | { readonly parameter: string };

/** A name that a segment has now, with the values of its parameters. */
export interface Match {
  readonly name: string;
  readonly params: Params;
}

export class SegmentPattern {
  readonly text: string;
  /** Whether the segment has no parameters: it is one name. */
  readonly literal: boolean;
  readonly #table: AttributeTable;
  readonly #parts: readonly Part[];

  /** @throws KernelBug when the table doesn't say which values a parameter has */
  constructor(text: string, table: AttributeTable) {
    this.text = text;
    this.#table = table;
    this.#parts = partsOf(text);
    this.literal = this.#parts.every((part) => "literal" in part);
    for (const part of this.#parts) {
      if ("parameter" in part && !table.instances?.[part.parameter]) {
        throw new KernelBug(`${table.root}: the table has no instances for {${part.parameter}} of ${text}`);
      }
    }
  }

  /** Every name that the segment has now. @param params the values of the segments before this one */
  expand(params: Params): Iterable<Match> {
    return this.#expandFrom(0, "", params);
  }

  /** The parameters' values for a name, or undefined when the segment doesn't have that name now. */
  match(name: string, params: Params): Params | undefined {
    if (this.literal) return name === this.text ? params : undefined;
    return this.#matchFrom(0, name, params);
  }

  *#expandFrom(at: number, name: string, params: Params): Iterable<Match> {
    const part = this.#parts[at];
    if (!part) {
      yield { name, params };
    } else if ("literal" in part) {
      yield* this.#expandFrom(at + 1, name + part.literal, params);
    } else {
      for (const value of this.#values(part.parameter, params)) {
        yield* this.#expandFrom(at + 1, name + value, { ...params, [part.parameter]: value });
      }
    }
  }

  #matchFrom(at: number, rest: string, params: Params): Params | undefined {
    const part = this.#parts[at];
    if (!part) return rest === "" ? params : undefined;
    if ("literal" in part) {
      return rest.startsWith(part.literal)
        ? this.#matchFrom(at + 1, rest.slice(part.literal.length), params)
        : undefined;
    }
    const tail = this.#literalTail(at + 1);
    if (tail !== undefined) {
      if (!rest.endsWith(tail)) return undefined;
      const value = rest.slice(0, rest.length - tail.length);
      return this.#hasValue(part.parameter, value, params)
        ? { ...params, [part.parameter]: value }
        : undefined;
    }
    for (const value of this.#values(part.parameter, params)) {
      if (!rest.startsWith(value)) continue;
      const found = this.#matchFrom(at + 1, rest.slice(value.length), { ...params, [part.parameter]: value });
      if (found) return found;
    }
    return undefined;
  }

  /**
   * The text from a part on; undefined when a parameter is in it. With a literal tail, the value before the tail is
   * known without a search.
   */
  #literalTail(from: number): string | undefined {
    let tail = "";
    for (const part of this.#parts.slice(from)) {
      if ("parameter" in part) return undefined;
      tail += part.literal;
    }
    return tail;
  }

  #values(parameter: string, params: Params): Iterable<string> {
    return this.#table.instances?.[parameter]?.(params) ?? [];
  }

  #hasValue(parameter: string, value: string, params: Params): boolean {
    const exists = this.#table.exists?.[parameter];
    if (exists) return exists(value, params);
    for (const candidate of this.#values(parameter, params)) if (candidate === value) return true;
    return false;
  }
}

/** The parts of a segment, cached over all machines: most machines have the same segments. */
function partsOf(text: string): readonly Part[] {
  let parts = PARTS.get(text);
  if (!parts) PARTS.set(text, (parts = parseSegment(text)));
  return parts;
}

function parseSegment(text: string): Part[] {
  const parts: Part[] = [];
  for (const piece of text.match(/\{\w+\}|[^{}]+/g) ?? []) {
    parts.push(piece.startsWith("{") ? { parameter: piece.slice(1, -1) } : { literal: piece });
  }
  return parts;
}
