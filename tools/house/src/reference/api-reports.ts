// The interface of each package as text, for reviews: the exports of each of its entries, with signatures and without comments, in
// the order of the alphabet. API Extractor reads it from the declarations that are published (dist/). A type that an interface
// names and no entry exports stands in it, too: a change of that type is a change of the interface.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { CompilerState, Extractor, ExtractorConfig, ExtractorLogLevel } from "@microsoft/api-extractor";
import { type Node, parseSync } from "oxc-parser";
import { packages, ROOT } from "../workspace.ts";

/** What the report of a package is called, in docs/api. */
export function reportFileOf(name: string): string {
  return `${basename(name)}.api.md`;
}

interface Entry {
  /** The package's name. */
  readonly name: string;
  /** As in an import: "@hetmem/mm/rmap". */
  readonly specifier: string;
  readonly config: ExtractorConfig;
}

/** A piece of a report: a declaration, or an import of what declarations name. */
interface Statement {
  readonly text: string;
  /** Names that it declares or imports. */
  readonly names: readonly string[];
  readonly kind: "export" | "import" | "local";
}

/** Reports by the name of their package. The packages must be built. */
export function apiReports(): Map<string, string> {
  const folder = mkdtempSync(join(tmpdir(), "api-reports-"));
  try {
    const entries = entriesIn(folder);
    const statements = extract(entries);
    const names = [...new Set(entries.map(({ name }) => name))];
    return new Map(names.map((name) => [name, reportOf(name, entries, statements)]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function entriesIn(folder: string): Entry[] {
  const found = packages().flatMap(({ name, folder: home, manifest }) =>
    Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) =>
      typeof target === "string"
        ? []
        : [{ name, specifier: `${name}${subpath.slice(1)}`, home, types: join(ROOT, home, target.types) }],
    ),
  );
  const files = found.map(({ types }) => types);
  return found.map(({ name, specifier, home, types }) => ({
    name,
    specifier,
    config: configOf(folder, join(ROOT, home), specifier, types, files),
  }));
}

/** @param files what the one program that all entries are looked up in is made of */
function configOf(
  folder: string,
  home: string,
  specifier: string,
  types: string,
  files: readonly string[],
): ExtractorConfig {
  const silent = { default: { logLevel: ExtractorLogLevel.None } };
  const compilerOptions = {
    target: "es2023",
    lib: ["es2023"],
    module: "nodenext",
    types: ["node"],
    typeRoots: [join(ROOT, "node_modules/@types")],
    strict: true,
    skipLibCheck: true,
  };
  return ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(home, "package.json"),
    configObject: {
      projectFolder: home,
      newlineKind: "lf",
      mainEntryPointFilePath: types,
      compiler: { overrideTsconfig: { compilerOptions, files } },
      apiReport: {
        enabled: true,
        reportFileName: `${specifier.replace(/\W/g, "_")}.api.md`,
        reportFolder: folder,
        reportTempFolder: folder,
        includeForgottenExports: true,
      },
      messages: { extractorMessageReporting: silent, tsdocMessageReporting: silent },
    },
  });
}

/** The statements of each entry's report, by specifier. */
function extract(entries: readonly Entry[]): Map<string, readonly Statement[]> {
  const [first] = entries;
  if (first === undefined) throw new Error("no package has an entry");
  const compilerState = CompilerState.create(first.config, {
    additionalEntryPoints: entries.map(({ config }) => config.mainEntryPointFilePath),
  });
  return new Map(
    entries.map(({ specifier, config }) => {
      const { succeeded } = Extractor.invoke(config, {
        compilerState,
        localBuild: true,
        messageCallback: (message) => {
          message.handled = message.logLevel !== ExtractorLogLevel.Error;
        },
      });
      if (!succeeded) throw new Error(`the interface of ${specifier} can't be read`);
      return [specifier, statementsOf(readFileSync(config.reportFilePath, "utf8"))];
    }),
  );
}

/** Lines that say whether something has a comment: a comment that is written changes no interface. */
const REMARK =
  /^ *\/\/ (@public|@public \(undocumented\)|\(undocumented\)|\(No @packageDocumentation.*\))\n/gm;

function statementsOf(report: string): Statement[] {
  const code = (/```ts\n([^]*)\n```/.exec(report)?.[1] ?? "").replace(REMARK, "");
  return parseSync("report.ts", code).program.body.map((node) => ({
    text: code.slice(node.start, node.end).replace(/^import type /, "import "),
    names: namesOf(node),
    kind:
      node.type === "ImportDeclaration"
        ? "import"
        : node.type === "ExportNamedDeclaration"
          ? "export"
          : "local",
  }));
}

function namesOf(node: Node): string[] {
  switch (node.type) {
    case "ImportDeclaration":
      return node.specifiers.map(({ local }) => local.name);
    case "ExportNamedDeclaration":
      return node.declaration ? namesOf(node.declaration) : [];
    case "VariableDeclaration":
      return node.declarations.flatMap(({ id }) => (id.type === "Identifier" ? id.name : []));
    default:
      return "id" in node && node.id?.type === "Identifier" ? [node.id.name] : [];
  }
}

function reportOf(
  name: string,
  entries: readonly Entry[],
  statements: ReadonlyMap<string, readonly Statement[]>,
): string {
  const own = entries.filter((entry) => entry.name === name);
  const all = own.flatMap(({ specifier }) => statements.get(specifier) ?? []);
  const exported = new Set(all.filter(({ kind }) => kind === "export").flatMap(({ names }) => names));
  const hidden = all.filter(({ kind, names }) => kind === "local" && !names.some((it) => exported.has(it)));
  const imports = all.filter(({ kind }) => kind === "import");
  const sections = own.map(({ specifier }) => {
    const shown = (statements.get(specifier) ?? []).filter(({ kind }) => kind === "export");
    return sectionOf(specifier, shown, imports);
  });
  if (hidden.length > 0) sections.push(sectionOf("Named above, not exported", inOrder(hidden), imports));
  return `# Interface of ${name}\n\n${INTRODUCTION}\n\n${sections.join("\n")}`;
}

/** @param imports those of the package, of which the section shows the ones that it needs */
function sectionOf(title: string, shown: readonly Statement[], imports: readonly Statement[]): string {
  const words = new Set(shown.flatMap(({ text }) => text.match(/\w+/g) ?? []));
  const needed = inOrder(imports.filter(({ names }) => names.some((name) => words.has(name))));
  const head = needed.map(({ text }) => `${text}\n`).join("");
  const body = shown.map(({ text }) => `${text}\n`).join("\n");
  return `## ${title}\n\n\`\`\`ts\n${head === "" ? "" : `${head}\n`}${body}\`\`\`\n`;
}

/** Each of them once, by name. */
function inOrder(statements: readonly Statement[]): Statement[] {
  const byText = new Map(statements.map((statement) => [statement.text, statement]));
  const first = ({ names: [name = ""] }: Statement): string => name;
  return [...byText.values()].sort((a, b) => (first(a) < first(b) ? -1 : Number(first(a) > first(b))));
}

const INTRODUCTION =
  "The exports of each entry, so that a review shows a change of the interface. `npm run reference` at the root writes this file anew.";
