// The line that a shell prints for a child that a signal ended: the words of strsignal(). SIGINT and SIGPIPE are usual, and
// nothing is printed for them. User space counterpart: sprint_status48() in shell/ash.c of busybox.

/** Words by the number of the signal. */
const WORDS: Readonly<Record<number, string>> = {
  1: "Hangup",
  3: "Quit",
  6: "Aborted",
  7: "Bus error",
  9: "Killed",
  10: "User defined signal 1",
  11: "Segmentation fault",
  12: "User defined signal 2",
  14: "Alarm clock",
  15: "Terminated",
};
const SILENT: readonly number[] = [2, 13];

/** The line that goes with a deadly signal; undefined for none. */
export function wordsOfSignal(signal: number): string | undefined {
  return SILENT.includes(signal) ? undefined : (WORDS[signal] ?? `Unknown signal ${signal}`);
}
