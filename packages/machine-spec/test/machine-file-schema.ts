// The JSON Schema of machine files, drawn from the schema that reads them. Editors complete and check files by it.
import { toJsonSchema } from "@valibot/to-json-schema";
import type { GenericSchema, LazySchema } from "valibot";
import { machineFile } from "../src/yaml-schema.ts";

const TITLE = "A machine of hetmem";
const DESCRIPTION =
  "What a Linux machine is made of before it boots. Sizes and addresses are bytes: numbers with K, M, G or T.";

/** Keywords of draft 7, which editors read. */
export type Shape = Readonly<Record<string, unknown>>;

export function machineFileSchema(): Shape {
  const { $schema, ...shape } = shapeOf(machineFile);
  return { $schema, title: TITLE, description: DESCRIPTION, ...shape };
}

function shapeOf(schema: GenericSchema): Shape {
  // The conversion of a value that may be of several kinds leaves a definition behind that nothing refers to.
  const { $defs: _, ...shape } = toJsonSchema(schema, {
    // Of a value that is looked at twice, the last look has its names.
    typeMode: "output",
    ignoreActions: ["raw_transform"],
    overrideSchema: ({ valibotSchema }) =>
      isLazy(valibotSchema) ? { anyOf: kindsOf(valibotSchema).map(withoutDraft) } : undefined,
  });
  return shape;
}

function withoutDraft(schema: GenericSchema): Shape {
  const { $schema: _, ...shape } = shapeOf(schema);
  return shape;
}

function isLazy(schema: GenericSchema): schema is LazySchema<GenericSchema> {
  return schema.type === "lazy";
}

/** What a value is read by, if it is a group, a list, or a word or number. */
function kindsOf({ getter }: LazySchema<GenericSchema>): GenericSchema[] {
  return [...new Set([{}, [], ""].map((example) => getter(example)))];
}
