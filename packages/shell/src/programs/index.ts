// The programs that need no more than a file tree, a log and a clock. Other packages and applications put theirs beside
// them: `{ ...PROGRAMS, ndctl }`.
import type { Programs } from "../program.ts";
import { cat } from "./cat.ts";
import { dd } from "./dd.ts";
import { echo, printf } from "./echo.ts";
import { basename, dirname, mkdir, readlink, rm, rmdir, touch } from "./files.ts";
import { find } from "./find.ts";
import { free } from "./free.ts";
import { grep } from "./grep.ts";
import { head, tail } from "./head-tail.ts";
import { kill } from "./kill.ts";
import { ls } from "./ls.ts";
import { lsmem } from "./lsmem.ts";
import { md5sum } from "./md5sum.ts";
import { numactl } from "./numactl.ts";
import { od } from "./od.ts";
import { pidof } from "./pidof.ts";
import { ps } from "./ps.ts";
import { sed } from "./sed.ts";
import { dmesg, env, fail, reboot, sleep, succeed, uname, yes } from "./system.ts";
import { test } from "./test.ts";
import { cut, seq, sort, tee, tr, uniq, wc } from "./text-filters.ts";

export const PROGRAMS: Programs = {
  "[": { run: test, summary: "a condition: [ -e FILE ]", builtin: true },
  basename: { run: basename, summary: "the last part of a path" },
  cat: { run: cat, summary: "print files" },
  cut: { run: cut, summary: "fields or characters of each line" },
  dd: { run: dd, summary: "copy blocks: dd if=/dev/zero of=FILE bs=1M count=4 skip=1" },
  dirname: { run: dirname, summary: "a path without its last part" },
  dmesg: { run: dmesg, summary: "print the kernel log" },
  echo: { run: echo, summary: "print the arguments", builtin: true },
  env: { run: env, summary: "print the environment" },
  false: { run: fail, summary: "nothing, with status 1", builtin: true },
  find: { run: find, summary: "paths below a directory: -name -path -type -maxdepth" },
  free: { run: free, summary: "memory and swap in one table: -b -k -m -g" },
  grep: { run: grep, summary: "lines that match: -E -F -i -v -c -n -o -q -r -l -w -x -A -B" },
  head: { run: head, summary: "the first lines" },
  kill: { run: kill, summary: "end processes", builtin: true },
  ls: { run: ls, summary: "list a directory: -l -a -d -1 -R" },
  lsmem: { run: lsmem, summary: "ranges of memory and their state" },
  md5sum: { run: md5sum, summary: "checksums, and -c to check them" },
  mkdir: { run: mkdir, summary: "make a directory" },
  numactl: { run: numactl, summary: "numactl -H: nodes, sizes and distances" },
  od: { run: od, summary: "bytes as numbers: -A d|x|o|n -t x8 -j SKIP -N COUNT" },
  printf: { run: printf, summary: "print by a format", builtin: true },
  pidof: { run: pidof, summary: "the pids of a name; -s one of them" },
  ps: { run: ps, summary: "the processes: -o pid,ppid,vsz,rss,anon,swap,stat,comm" },
  reboot: { run: reboot, summary: "boot anew: persistent memory keeps what it holds" },
  readlink: { run: readlink, summary: "where a link points; -f all the way" },
  rm: { run: rm, summary: "remove files; -r directories too" },
  rmdir: { run: rmdir, summary: "remove an empty directory" },
  sed: { run: sed, summary: "edit lines: s/a/b/, -n p, d, q" },
  seq: { run: seq, summary: "numbers from one to another" },
  sleep: { run: sleep, summary: "let simulated time pass" },
  sort: { run: sort, summary: "sort lines: -n -r -u -k" },
  tail: { run: tail, summary: "the last lines" },
  tee: { run: tee, summary: "write what comes in to files too" },
  test: { run: test, summary: "a condition: test -e FILE", builtin: true },
  touch: { run: touch, summary: "make an empty file" },
  tr: { run: tr, summary: "replace or delete characters" },
  true: { run: succeed, summary: "nothing, with status 0", builtin: true },
  uname: { run: uname, summary: "the system; -r its release" },
  uniq: { run: uniq, summary: "drop lines that repeat" },
  wc: { run: wc, summary: "count lines, words and bytes" },
  yes: { run: yes, summary: "the same line without end" },
};
