// The code that V8 compiles a bundled script to, kept in a file beside the script, so that no start compiles it again. V8 looks at
// its version and its flags before it takes such code, and at nothing else: a damaged file would crash it, and code of a script
// that was changed since would run in its place. So the file begins with a digest of all that the code was made of, and code
// whose digest is another is not used: the script is compiled as any other.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";

const DIGEST = "sha1";
const DIGEST_BYTES = 20;

// Code is only good for the flags that it was made under, so that this one is set before any is made or used. With it, a pattern of
// `grep` or `sed` that would be tried in more ways than there is time for is followed in all of them at once.
setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");

/** The file that keeps the code of a script for the Node that runs. */
export function codeFileOf(script: string): string {
  return script.replace(/\.cjs$/, `.${process.version}.code`);
}

/**
 * Runs a script of CommonJS, as `require()` does, with its kept code where that fits.
 *
 * @param file a bundle in ASCII: a byte is a character
 * @returns its exports
 */
export function requireWithCode(file: string): unknown {
  const source = readFileSync(file);
  return exportsOf(compile(file, source, keptCode(codeFileOf(file), source)), file);
}

/** Compiles a script of CommonJS. @param code that of an earlier compilation */
export function compile(file: string, source: Buffer, code?: Buffer): Script {
  const wrapped = `(function (exports, require, module, __filename, __dirname) {${source.toString("latin1")}\n})`;
  return new Script(wrapped, { filename: file, ...(code && { cachedData: code }) });
}

/** Runs a compiled script. @returns its exports */
export function exportsOf(script: Script, file: string): unknown {
  const module: { exports: unknown } = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(file), module, file, dirname(file));
  return module.exports;
}

/** The code of a script as a file keeps it. Functions that ran already are in it. */
export function codeToKeep(script: Script, source: Buffer): Buffer {
  const code = script.createCachedData();
  return Buffer.concat([digestOf(source, code), code]);
}

/** The code that a file keeps. Undefined where there is none, or where it is another script's, another Node's, or damaged. */
export function keptCode(file: string, source: Buffer): Buffer | undefined {
  const kept = unlessMissing(() => readFileSync(file));
  if (!kept) return undefined;
  const code = kept.subarray(DIGEST_BYTES);
  return digestOf(source, code).equals(kept.subarray(0, DIGEST_BYTES)) ? code : undefined;
}

function digestOf(source: Buffer, code: Buffer): Buffer {
  const { version, arch, platform } = process;
  return createHash(DIGEST).update(`${version} ${arch} ${platform}\n`).update(source).update(code).digest();
}

function unlessMissing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
