// The zones and pageblocks that may serve a request.
import { expect, test } from "vitest";
import {
  Gfp,
  GFP_ATOMIC,
  GFP_HIGHUSER,
  GFP_HIGHUSER_MOVABLE,
  GFP_KERNEL,
  GFP_KERNEL_ACCOUNT,
  GFP_NOWAIT,
  GFP_TRANSHUGE,
  GFP_USER,
  gfpMigrateType,
  gfpZone,
} from "../src/gfp.ts";
import { MigrateType, ZoneType } from "../src/zone-type.ts";

test.each([
  ["GFP_KERNEL", GFP_KERNEL, ZoneType.Normal],
  ["GFP_ATOMIC", GFP_ATOMIC, ZoneType.Normal],
  ["GFP_USER", GFP_USER, ZoneType.Normal],
  ["GFP_HIGHUSER, as x86-64 has no highmem,", GFP_HIGHUSER, ZoneType.Normal],
  ["__GFP_MOVABLE alone", GFP_KERNEL | Gfp.MOVABLE, ZoneType.Normal],
  ["GFP_HIGHUSER_MOVABLE", GFP_HIGHUSER_MOVABLE, ZoneType.Movable],
  ["GFP_TRANSHUGE", GFP_TRANSHUGE, ZoneType.Movable],
  ["__GFP_DMA32", GFP_KERNEL | Gfp.DMA32, ZoneType.DMA32],
  ["__GFP_DMA32 with __GFP_MOVABLE", GFP_KERNEL | Gfp.DMA32 | Gfp.MOVABLE, ZoneType.DMA32],
  ["__GFP_DMA", GFP_KERNEL | Gfp.DMA, ZoneType.DMA],
])("%s may use zones up to its highest", (_, gfp, zone) => {
  expect(gfpZone(gfp)).toBe(zone);
});

test.each([
  ["GFP_KERNEL is unmovable", GFP_KERNEL, MigrateType.Unmovable],
  ["GFP_HIGHUSER is unmovable", GFP_HIGHUSER, MigrateType.Unmovable],
  ["__GFP_RECLAIMABLE is reclaimable", GFP_KERNEL | Gfp.RECLAIMABLE, MigrateType.Reclaimable],
  ["__GFP_MOVABLE is movable, whatever the zone", GFP_KERNEL | Gfp.MOVABLE | Gfp.DMA, MigrateType.Movable],
  ["GFP_TRANSHUGE is movable", GFP_TRANSHUGE, MigrateType.Movable],
])("a page allocated with %s", (_, gfp, type) => {
  expect(gfpMigrateType(gfp)).toBe(type);
});

test("every modifier is a bit of its own", () => {
  const bits = Object.values(Gfp);
  expect(bits.reduce((all, bit) => all | bit, 0)).toBe(bits.reduce((sum, bit) => sum + bit, 0));
});

test("GFP_ATOMIC and GFP_NOWAIT never wait for reclaim, and only GFP_ATOMIC has the reserves", () => {
  expect((GFP_ATOMIC | GFP_NOWAIT) & Gfp.DIRECT_RECLAIM).toBe(0);
  expect(GFP_ATOMIC & GFP_NOWAIT & Gfp.KSWAPD_RECLAIM).not.toBe(0);
  expect([GFP_ATOMIC & Gfp.HIGH, GFP_NOWAIT & Gfp.HIGH]).toEqual([Gfp.HIGH, 0]);
});

test("GFP_KERNEL_ACCOUNT is GFP_KERNEL that is charged", () => {
  expect(GFP_KERNEL_ACCOUNT & ~GFP_KERNEL).toBe(Gfp.ACCOUNT);
});
