// What moving memory to a device and back costs: with what is written in it, beside Buffer.copy() on the same machine in
// the same run, and the bookkeeping alone. Prints a table; asserts nothing. Run after a build: `node bench/run.mjs`.
import { MiB } from "@hetmem/kernel";
import { BASE, BATCH, bootDevice, PAGE, spawnFilled } from "./machine.mjs";

const ROUNDS = 20;
const BYTES = 64 * MiB;

const { device, vm } = bootDevice(BYTES);
const { mm } = spawnFilled(vm, BYTES);

const copy = median(copies());
const withContents = rounds(true);
const bookkeeping = rounds(false);

const gibs = (ns) => (PAGE / ns / 1.073741824).toFixed(2);
const row = (what, ns, share) => ({
  what,
  "ns a page": ns.toFixed(1),
  "GiB/s": share ? gibs(ns) : "",
  share,
});
const ofCopy = (ns) => `${((100 * copy) / ns).toFixed(0)} % (limit 50 %)`;
console.log("Migration of 64 MiB of anonymous memory to a private device and back, 8 MiB at a time");
console.table([
  row("Buffer.copy", copy, "100 %"),
  row("to the device, with contents", withContents.to.all, ofCopy(withContents.to.all)),
  row("and back", withContents.back.all, ofCopy(withContents.back.all)),
]);
console.log(
  "Bookkeeping alone: setup, pages and finalize (limit 80 ns), and what the driver takes to hand out pages",
);
console.table(
  ["to", "back"].map((way) => ({
    way,
    "ns a page": bookkeeping[way].migration.toFixed(1),
    "the driver's own": bookkeeping[way].driver.toFixed(1),
  })),
);

/** What each batch takes, both ways: medians of all batches of some rounds, behind as many rounds that warm up. */
function rounds(contents) {
  const [to, back] = [[], []];
  for (let round = 0; round < ROUNDS * 2; round++) {
    to.push(device.toDevice(mm, BASE, BYTES, contents));
    back.push(device.toRam(mm, BASE, BYTES, contents));
  }
  return { to: medians(to.slice(ROUNDS).flat()), back: medians(back.slice(ROUNDS).flat()) };
}

function medians(samples) {
  const of = (what) => median(samples.map((sample) => sample[what]));
  return { all: of("all"), driver: of("driver"), migration: of("migration") };
}

/** Nanoseconds a page of copies of as much as a batch, all over 64 MiB. */
function copies() {
  const from = Buffer.alloc(BYTES, 1);
  const into = Buffer.alloc(BYTES, 2);
  const samples = [];
  for (let round = 0; round < ROUNDS * 2; round++) {
    for (let at = 0; at < BYTES; at += BATCH * PAGE) {
      const start = process.hrtime.bigint();
      from.copy(into, at, at, at + BATCH * PAGE);
      samples.push(Number(process.hrtime.bigint() - start) / BATCH);
    }
  }
  return samples.slice(samples.length / 2);
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
