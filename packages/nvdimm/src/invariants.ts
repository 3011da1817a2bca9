// Invariants of a bus, which hold after every step of every operation.
import type { Invariant } from "@hetmem/kernel";
import type { NvdimmBus } from "./devices/bus.ts";
import { labelId } from "./devices/dimm.ts";

export const nvdimmInvariants: readonly Invariant<NvdimmBus>[] = [
  {
    name: "a claim and its namespace know of each other",
    *check(bus) {
      for (const claim of bus.claims())
        if (claim.namespace && claim.namespace.claim !== claim)
          yield `${claim.name} has ${claim.namespace.name}, which doesn't know`;
      for (const namespace of bus.namespaces())
        if (namespace.claim && namespace.claim.namespace !== namespace)
          yield `${namespace.name} is claimed by one that doesn't know`;
    },
  },
  {
    name: "a namespace and what claims it never both have a driver",
    *check(bus) {
      for (const { name, claim, driver } of bus.namespaces())
        if (driver !== undefined && claim?.driver !== undefined)
          yield `${name} has a driver, and so has ${claim.name}`;
    },
  },
  {
    name: "what has a driver has what the driver made",
    *check(bus) {
      for (const { name, driver, disk } of bus.namespaces())
        if (driver !== undefined && !disk) yield `${name} has ${driver} and no disk`;
      for (const { name, driver, disk, dax } of bus.claims())
        if (driver !== undefined && !disk && !dax)
          yield `${name} has ${driver}, and neither disk nor dax region`;
    },
  },
  {
    name: "namespaces of a region don't overlap, and lie inside of it",
    *check(bus) {
      for (const region of bus.regions) {
        const sized = [...region.namespaces.values()].filter(({ size }) => size > 0);
        const sorted = sized.sort((one, other) => one.range.start - other.range.start);
        for (const [i, { name, range }] of sorted.entries()) {
          if (range.start < region.start || range.end > region.end) yield `${name} leaves ${region.name}`;
          const next = sorted[i + 1];
          if (next && next.range.start < range.end) yield `${name} overlaps ${next.name}`;
        }
      }
    },
  },
  {
    name: "addresses that are taken on a module have the name of a namespace or of a label",
    *check(bus) {
      if (bus.reconfig.locked) return;
      const named = new Set(bus.namespaces().map(({ uuid }) => labelId(uuid ?? "")));
      for (const { name, data } of bus.dimms) {
        const strangers = (data?.dpa.children ?? []).filter((taken) => !named.has(taken.name));
        if (strangers.length === 0) continue;
        const labels = new Set(data?.labels.labels().map(({ uuid }) => labelId(uuid)));
        for (const taken of strangers)
          if (!labels.has(taken.name)) yield `${name}: nobody knows ${taken.name}`;
      }
    },
  },
  {
    name: "a module is used by as many regions as use it",
    *check(bus) {
      for (const dimm of bus.dimms) {
        const users = bus.regions.filter(({ activeDimms }) => activeDimms.includes(dimm)).length;
        if (users !== dimm.busy) yield `${dimm.name} counts ${dimm.busy} users, and ${users} regions use it`;
      }
    },
  },
  {
    name: "a region that is disabled has nothing on the bus",
    *check(bus) {
      for (const { name, driver, namespaces, claims } of bus.regions)
        if (driver === undefined && namespaces.size + claims.size > 0)
          yield `${name} is disabled and has devices`;
    },
  },
];
