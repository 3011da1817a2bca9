// A label area by itself: two index blocks that take turns, and labels that are never changed in place.
import { outcome } from "@hetmem/test-machines/outcome";
import { KernelError, run, type Sleeps } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { type Label, LabelArea } from "../src/index.ts";

const SLOTS_AT = 512;

/** A module whose label area is written to, or refuses to be. */
class Media {
  readonly bytes = new Uint8Array(SLOTS_AT + 4 * 256);
  /** Writes that are still done; the next one fails. */
  writesLeft = Infinity;

  readonly write = (offset: number, bytes: Uint8Array): Sleeps<void> => this.#write(offset, bytes);

  area(): LabelArea {
    return new LabelArea(this.bytes, this.write);
  }

  *#write(offset: number, bytes: Uint8Array): Sleeps<void> {
    if (this.writesLeft-- <= 0) throw new KernelError("EIO", "the firmware refuses");
    this.bytes.set(bytes, offset);
  }
}

function initialised(): { media: Media; area: LabelArea } {
  const media = new Media();
  const area = media.area();
  run(area.initialise());
  return { media, area };
}

function label(name: string): Omit<Label, "slot"> {
  return {
    uuid: "82155aaa-ced0-453e-95e5-dd726d7491cb",
    name,
    flags: 0,
    nlabel: 1,
    position: 0,
    isetCookie: 1n,
    lbaSize: 512,
    dpa: 0,
    rawSize: 4096,
    claimClass: "none",
  };
}

const names = (area: LabelArea): string[] => area.labels().map(({ name }) => name);

test("sequence numbers go 1, 2, 3, 1, and the index that is next after the other counts", () => {
  const { media, area } = initialised();
  const sequences: (number | undefined)[][] = [];
  for (const name of ["one", "two", "three", "four"]) {
    run(area.replace(label(name), () => true));
    sequences.push(media.area().indexBlocks.map(({ seq }) => seq));
    expect(names(media.area())).toEqual([name]);
  }
  expect(sequences).toEqual([
    [3, 1],
    [2, 1],
    [2, 3],
    [1, 3],
  ]);
});

test.each([
  ["the label", 0],
  ["the index", 1],
])(
  "a write of %s that fails leaves what was there, slot for slot, and the next one succeeds",
  (_what, done) => {
    const { media, area } = initialised();
    run(area.replace(label("old"), () => true));
    const free = area.freeSlots;
    media.writesLeft = done;
    expect(outcome(() => run(area.replace(label("new"), () => true)))).toBe("EIO");
    expect([names(area), area.freeSlots, names(media.area())]).toEqual([["old"], free, ["old"]]);
    media.writesLeft = Infinity;
    run(area.replace(label("newer"), () => true));
    expect([names(area), area.freeSlots, names(media.area())]).toEqual([["newer"], free, ["newer"]]);
  },
);

test("labels whose removal fails are there still", () => {
  const { media, area } = initialised();
  run(area.replace(label("old"), () => false));
  media.writesLeft = 0;
  const free = area.freeSlots;
  expect(outcome(() => run(area.remove(() => true)))).toBe("EIO");
  expect([names(area), area.freeSlots]).toEqual([["old"], free]);
});

test("an index block with any bit changed doesn't count: the other does", () => {
  const { media, area } = initialised();
  run(area.replace(label("old"), () => true));
  run(area.replace(label("new"), () => true));
  const [first] = media.area().indexBlocks;
  const newer = first?.seq === 2 ? 0 : 256;
  for (const at of [0, 16, 20, 24, 32, 40, 56, 64, 72]) {
    const torn = Object.assign(new Media(), { writesLeft: Infinity });
    torn.bytes.set(media.bytes);
    torn.bytes[newer + at] = (torn.bytes[newer + at] ?? 0) ^ 1;
    expect(names(torn.area())).toEqual(["old"]);
  }
});

test("a label with any bit changed is overlooked", () => {
  const { media, area } = initialised();
  run(area.replace(label("old"), () => true));
  const slot = area.labels()[0]?.slot ?? expect.fail();
  for (const at of [0, 16, 248]) {
    const torn = media.bytes.slice();
    torn[SLOTS_AT + slot * 256 + at] = (torn[SLOTS_AT + slot * 256 + at] ?? 0) ^ 1;
    expect(names(new LabelArea(torn, media.write))).toEqual([]);
  }
});

test("the last free slot is kept for the next update", () => {
  const { area } = initialised();
  for (const name of ["a", "b", "c", "d"]) run(area.replace(label(name), () => false));
  expect(area.freeSlots).toBe(0);
  expect(outcome(() => run(area.replace(label("e"), () => true)))).toBe("ENXIO");
});
