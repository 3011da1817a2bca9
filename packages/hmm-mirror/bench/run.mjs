// What mirroring costs, beside what it is made of, measured in the same run: a snapshot beside a copy of the same tables
// and beside filling its own array; an invalidation beside asking each interval in turn. Prints tables; asserts nothing. Run
// after a build: `npm run bench` at the root, or `node bench/run.mjs`.
import { allocHmmPfns, HmmPfn, hmmPfnFlags, hmmRangeFault } from "@hetmem/hmm-mirror";
import { GiB, MiB, run } from "@hetmem/kernel";
import { WalkAction, walkPageRange } from "@hetmem/mm";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  MmuIntervalNotifier,
  mmuIntervalNotifierInsert,
  mmuIntervalReadBegin,
  mmuIntervalSetSeq,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { BASE, bootVm, measure, PAGE, populated } from "./machine.mjs";

const ROUNDS = 15;
const HUGE = 2 * MiB;
const ADDRESS_SPACE = 64 * GiB;

const listener = {
  *invalidate(notifier, _range, sequence) {
    mmuIntervalSetSeq(notifier, sequence);
    return true;
  },
};

function mirrored(mm, bytes) {
  const notifier = new MmuIntervalNotifier(listener, undefined);
  run(mmuIntervalNotifierInsert(notifier, mm, BASE, bytes));
  return notifier;
}

/** Takes snapshots of the first `bytes` of a process. */
function snapshot(mm, bytes) {
  const notifier = mirrored(mm, bytes);
  const hmmPfns = allocHmmPfns(bytes / PAGE);
  const range = {
    notifier,
    notifierSeq: 0,
    start: BASE,
    end: BASE + bytes,
    hmmPfns,
    defaultFlags: 0,
    pfnFlagsMask: 0,
  };
  run(mm.mmapLock.downRead());
  const time = measure(ROUNDS, 1, () => {
    range.notifierSeq = run(mmuIntervalReadBegin(notifier));
    if (run(hmmRangeFault(range)) !== "ok") throw new Error("the range changes under the benchmark");
  });
  mm.mmapLock.upRead();
  for (let i = 0; i < bytes / PAGE; i++)
    if ((hmmPfnFlags(hmmPfns, i) & HmmPfn.valid) === 0) throw new Error(`page ${i} isn't valid`);
  return { time, hmmPfns };
}

/** Walks the 2 MiB mappings of the first `bytes` of a process, and answers once for each: what a snapshot is, less 512 answers. */
function walkHuge(mm, bytes) {
  const { pageTable } = mm;
  const answers = new Int32Array((bytes / HUGE) * 2);
  const ops = {
    pmdEntry(pmd, address, _next, walk) {
      walk.action = WalkAction.continue;
      const at = ((address - BASE) >> 21) << 1;
      answers[at] = pageTable.value(pmd);
      answers[at | 1] = pageTable.flags(pmd);
      return 0;
    },
  };
  run(mm.mmapLock.downRead());
  const time = measure(ROUNDS, bytes / HUGE, () => {
    for (let again = 0; again < 16; again++) {
      walkPageRange(mm, BASE, BASE + bytes, ops);
    }
  });
  mm.mmapLock.upRead();
  return time / 16;
}

/** Writes the same number of pages and flags, and reads nothing. */
function fill(words) {
  return measure(ROUNDS, words.length / 2, (round) => {
    for (let at = 0; at < words.length; at += 2) {
      words[at] = round + at;
      words[at + 1] = HmmPfn.valid;
    }
  });
}

const part = GiB;
const pages = part / PAGE;
const hugeMm = populated(bootVm(2, "always"), part, part);
const walked = walkHuge(hugeMm, part);
const huge = snapshot(hugeMm, part);
const small = snapshot(populated(bootVm(2, "never"), part, part), part);
const target = new Int32Array(small.hmmPfns.length);
const copied = measure(ROUNDS, pages, () => target.set(small.hmmPfns));
const filled = fill(target);

console.log("\nA snapshot of 1 GiB, and copying as many words as its answer has (memcpy)");
const rows = [];
function row(what, time, base, limit) {
  rows.push({ what, ns: time.toFixed(2), "times memcpy": (time / base).toFixed(1), limit });
}
row("memcpy, a page", copied, copied, "");
row("writing the answers alone, a page", filled, copied, "");
row("small pages, a page", small.time / pages, copied, "4 ns");
row("2 MiB mappings, a page", huge.time / pages, copied, "");
row("memcpy, the 512 answers of 2 MiB", copied * 512, copied * 512, "");
row("2 MiB mappings, an entry, 512 answers", huge.time / (part / HUGE), copied * 512, "");
row("2 MiB mappings, an entry, walked alone", walked, copied * 512, "20 ns");
console.table(rows);

/** An address space of 64 GiB, of which `count` parts are listened to, by intervals of 1 MiB. */
function listened(count) {
  const mm = populated(bootVm(1, "never"), ADDRESS_SPACE, 0);
  const notifiers = [];
  for (let i = 0; i < count; i++) {
    const notifier = new MmuIntervalNotifier(listener, undefined);
    const start = BASE + Math.floor((i * ADDRESS_SPACE) / count / PAGE) * PAGE;
    run(mmuIntervalNotifierInsert(notifier, mm, start, MiB));
    notifiers.push(notifier);
  }
  return { mm, notifiers, step: ADDRESS_SPACE / count };
}

/** Changes `hits` intervals' worth of addresses, at places that lie all over. */
function invalidate({ mm, step, notifiers }, hits) {
  const each = 2000;
  return measure(ROUNDS, each, (round) => {
    for (let i = 0; i < each; i++) {
      const first = ((i * 7919 + round) % (notifiers.length - hits + 1)) * step;
      const start = BASE + Math.floor(first / PAGE) * PAGE;
      const range = {
        mm,
        start,
        end: start + Math.max(PAGE, (hits - 1) * step),
        event: MmuNotifyEvent.Clear,
      };
      run(invalidateRangeStart(range));
      run(invalidateRangeEnd(range));
    }
  });
}

/** What it would cost to ask each interval whether it is hit. */
function askEach({ notifiers }) {
  let hit = 0;
  return (
    measure(ROUNDS, 200, () => {
      for (let i = 0; i < 200; i++) {
        const start = BASE + i * PAGE;
        for (const notifier of notifiers) if (notifier.start < start + PAGE && notifier.last >= start) hit++;
      }
    }) + (hit < 0 ? 1 : 0)
  );
}

console.log("\nAn invalidation in 64 GiB of addresses");
const intervalRows = [];
let one = 0;
for (const count of [1, 100, 10_000, 100_000]) {
  const space = listened(count);
  const time = invalidate(space, 1);
  one ||= time;
  intervalRows.push({
    intervals: count,
    hits: 1,
    ns: time.toFixed(0),
    "times that of one interval": (time / one).toFixed(2),
    "asking each, ns": askEach(space).toFixed(0),
  });
}
const many = listened(10_000);
for (const hits of [10, 100, 1000]) {
  const time = invalidate(many, hits);
  intervalRows.push({ intervals: 10_000, hits, ns: time.toFixed(0), "ns a hit": (time / hits).toFixed(0) });
}
console.table(intervalRows);
