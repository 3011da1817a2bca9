// API pages of all packages, from their doc comments: `npm run docs` writes them to tools/api-pages/pages. TypeDoc reads types with TypeScript 6,
// which this package has for itself: version 7 has no interface for programs yet.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { Comment, Converter, ReflectionKind } from "typedoc";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const REPOSITORY = "https://github.com/hetmem/hetmem";

/** Index files by what is imported: `@hetmem/mm/rmap`. */
const INDEXES = new Map(
  ["packages", "apps"].flatMap((group) =>
    readdirSync(join(ROOT, group)).flatMap((name) => {
      const folder = join(ROOT, group, name);
      const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      return Object.entries(manifest.exports).flatMap(([subpath, target]) =>
        typeof target === "string"
          ? []
          : [[`${manifest.name}${subpath.slice(1)}`, join(folder, target["@hetmem/source"])]],
      );
    }),
  ),
);

/** A README without its title: the page has one. */
function readmeOf(path) {
  return readFileSync(path, "utf8").replace(/^# .*\n/, "");
}

/** A module is called by what is imported, and the main one of a package begins with its README. */
function nameModules(app) {
  const named = new Map(
    [...INDEXES].map(([name, index]) => [relative(ROOT, index).replace("/index.ts", ""), name]),
  );
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, module) => {
    const name = module.kindOf(ReflectionKind.Module) ? named.get(module.name) : undefined;
    if (name === undefined) return;
    const readme = join(ROOT, module.name, "../README.md");
    if (existsSync(readme)) module.readme = [{ kind: "text", text: readmeOf(readme) }];
    module.name = name;
  });
}

/** The first page is the README of the repository, whose links to packages lead to their pages, and others to the repository. */
function beginWithReadme(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const text = readmeOf(join(ROOT, "README.md"))
      .replace(/\]\(packages\/([\w-]+)\)/g, "](modules/_hetmem_$1.html)")
      .replace("](apps/machine)", "](modules/hetmem.html)")
      .replace(/\]\((?!https?:|#|modules\/)([^)]*)\)/g, `](${REPOSITORY}/tree/main/$1)`);
    project.readme = [{ kind: "text", text }];
  });
}

/** A file is about one thing, which the comment at its beginning describes: the page of an export without a comment of its own has that. */
function describeByFile(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    for (const module of context.project.getReflectionsByKind(ReflectionKind.Module))
      for (const reflection of module.children ?? []) {
        const [declaration] = context.getSymbolFromReflection(reflection)?.declarations ?? [];
        if (reflection.hasComment() || declaration === undefined) continue;
        const [head = ""] = /^(\/\/.*\n)+/.exec(declaration.getSourceFile().text) ?? [];
        const comment = new Comment([{ kind: "text", text: head.replace(/^\/\/ ?/gm, "") }]);
        for (const described of reflection.signatures ?? [reflection]) described.comment = comment.clone();
      }
  });
}

export default {
  name: "hetmem",
  entryPoints: [...INDEXES.values()],
  tsconfig: join(ROOT, "tools/api-pages/tsconfig.json"),
  readme: "none",
  plugin: [nameModules, describeByFile, beginWithReadme],
  out: "pages",
  // The compiler of the repository has checked the types.
  skipErrorChecking: true,
  disableSources: true,
  excludePrivate: true,
  hideGenerator: true,
  githubPages: false,
  customCss: "pages.css",
  navigationLinks: { GitHub: REPOSITORY },
  validation: {
    invalidLink: true,
    invalidPath: true,
    rewrittenLink: true,
    notExported: false,
    notDocumented: false,
  },
};
