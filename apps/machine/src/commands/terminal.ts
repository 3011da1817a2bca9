// The terminal of a command: where its text goes, how wide it is, and whether it shows colours. Commands know nothing of the
// process, so that a test runs them as a user does.
import type { InteractiveStreams } from "@hetmem/shell/node";

export interface Terminal {
  /** Standard output. */
  write(text: string): void;
  /** Standard error. */
  writeError(text: string): void;
  /** Whether a person reads standard output. */
  readonly printsToTerminal: boolean;
  readonly columns: number;
  readonly colours: boolean;
  /** How the user called hetmem, for the commands that we suggest. */
  readonly self: string;
  /** The streams of a shell. */
  readonly streams: InteractiveStreams;
  /** The file descriptor that piped input comes from. */
  readonly input: number;
}

const COLUMNS_MAX = 100;
const COLUMNS_MIN = 60;

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const { stdin, stdout, stderr, env } = process;
  // A reader that has seen enough (`| head`) is no error, and ends the command; a full disk is an error.
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit();
    stderr.write(`hetmem: the output can't be written (${error.code}): give it another place\n`);
    process.exitCode = 1;
  });
  // There is no place left to report that messages can't be written.
  stderr.on("error", () => {});
  return {
    write: (text) => void stdout.write(text),
    writeError: (text) => void stderr.write(text),
    printsToTerminal: stdout.isTTY,
    columns: Math.max(COLUMNS_MIN, Math.min(stdout.columns ?? COLUMNS_MAX, COLUMNS_MAX)),
    colours:
      (stdout.isTTY && !env["NO_COLOR"] && env["TERM"] !== "dumb") ||
      Boolean(env["FORCE_COLOR"] && env["FORCE_COLOR"] !== "0"),
    self: env["npm_lifecycle_event"] === "start" ? "npm start --" : "hetmem",
    streams: { input: stdin, output: stdout, error: stderr, terminal: stdin.isTTY && stdout.isTTY },
    input: stdin.fd,
  };
}
