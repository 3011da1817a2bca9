// The reference of machine files: a table for each group of names, drawn from the JSON Schema that @hetmem/machine-spec exports.
import { readText } from "../workspace.ts";

/** The keywords of JSON Schema that machine files need. */
export interface Shape {
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly additionalProperties?: Shape | boolean;
  readonly required?: readonly string[];
  readonly items?: Shape;
  readonly maxItems?: number;
  readonly anyOf?: readonly Shape[];
}

export const MACHINE_FILE = JSON.parse(readText("packages/machine-spec/machine-file.schema.json")) as Shape;

/** A group of names, and its place in a file: `nodes[].memory`. */
export interface Group {
  readonly place: string;
  readonly shape: Shape;
}

/** The group itself, and those in it, from the outside in. */
export function* groupsIn(shape: Shape, place = ""): Generator<Group> {
  if (shape.properties) yield { place, shape };
  for (const [name, value] of Object.entries(shape.properties ?? {}))
    yield* groupsIn(value, within(place, name));
  if (shape.items) yield* groupsIn(shape.items, `${place}[]`);
  for (const kind of shape.anyOf ?? []) yield* groupsIn(kind, place);
}

function within(place: string, name: string): string {
  return place === "" ? name : `${place}.${name}`;
}

/** docs/machine-file.md */
export function machineFilePage(): string {
  const groups = [...groupsIn(MACHINE_FILE)].filter(({ shape }) => !isRange(shape));
  const sections = groups.map((group) =>
    [group.place === "" ? "## The file" : `## \`${group.place}\``, "", ...tableOf(group), ""].join("\n"),
  );
  return [INTRODUCTION, ...sections].join("\n");
}

/** Ranges are described once, in the introduction. */
function isRange({ properties = {} }: Shape): boolean {
  return Object.keys(properties).join() === "start,end,size";
}

function tableOf({ place, shape: { properties = {}, required = [] } }: Group): string[] {
  const rows = Object.entries(properties).map(([name, value]) => {
    const fallback = required.includes(name) ? "needed" : defaultOf(value);
    return `| \`${name}\` | ${kindOf(value, within(place, name))} | ${fallback} | ${value.description ?? ""} |`;
  });
  return ["| name | value | default | meaning |", "| --- | --- | --- | --- |", ...rows];
}

function defaultOf({ default: value }: Shape): string {
  return value === undefined ? "" : `\`${String(value)}\``;
}

/** What a person calls such a value; a group by its place. */
function kindOf(shape: Shape, place: string): string {
  if (shape.title !== undefined) return shape.title;
  if (shape.enum) return shape.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (shape.items) return `list: ${kindOf(shape.items, `${place}[]`)}`;
  if (shape.anyOf) return oneOf(shape.anyOf, place);
  if (typeof shape.additionalProperties === "object")
    return `${kindOf(shape.additionalProperties, place)} by name`;
  return isRange(shape) ? "range" : `[\`${place}\`](#${place.replace(/\W/g, "")})`;
}

function oneOf(kinds: readonly Shape[], place: string): string {
  const [list] = kinds.filter(({ items }) => items);
  const names = [...new Set(kinds.filter((kind) => kind !== list).map((kind) => kindOf(kind, place)))];
  return [...names, ...(list ? ["list of these"] : [])].join(" or ");
}

const INTRODUCTION = `# Machine files

A machine file is YAML and describes a Linux machine before it boots: \`npm start -- boot --machine FILE\` boots it, and \`machineOfYaml()\` of
[\`@hetmem/machine-spec\`](../packages/machine-spec) reads it. [Some machines](../apps/machine/fixtures/machines) are there to begin with. This is the smallest:

\`\`\`yaml
nodes:
  - { memory: 1G, cpus: 0-1 }
\`\`\`

This page and [the JSON Schema](../packages/machine-spec/machine-file.schema.json) are drawn from the schema that reads the files:
\`npm run reference\` writes both anew. An editor that knows YAML completes and checks a file by a line at its top:

\`\`\`yaml
# yaml-language-server: $schema=node_modules/@hetmem/machine-spec/machine-file.schema.json
nodes:
  - { memory: 1G, cpus: 0-1 }
\`\`\`

A **size** is a number of bytes, and so is an address: \`4096\`, \`0x100000000\`, \`128M\` (K, M, G, T: powers of 1024). A **range** has a \`start\`, its first byte,
and either an \`end\`, the first byte behind it, or a \`size\`: \`{ start: 4G, size: 1G }\`. **CPUs** are \`0\`, \`0-3,8\` or \`[0, 1]\`. A **text** has one line. A name that
isn't listed here is refused, and so is a machine that can't be: each problem comes with file, line, place and a value to write instead.
`;
