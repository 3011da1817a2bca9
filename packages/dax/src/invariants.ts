// Invariants of a dax bus, which hold after every step of every operation.
import { type Invariant, PAGE_SIZE } from "@hetmem/kernel";
import { descendants } from "@hetmem/resource";
import type { DaxBus } from "./dax-bus.ts";
import { type DevDax, formatRange, rangeSize } from "./dev-dax.ts";

export const daxInvariants: readonly Invariant<DaxBus>[] = [
  {
    name: "the devices of the bus and of its class are those of its regions",
    *check({ regions, devices, classDevices, minors }) {
      const listed = [...devices.values(), ...classDevices.values()];
      for (const device of listed) {
        if (!regions.has(device.region)) yield `${device.name} is of a region that is gone`;
        if (!device.registered) yield `${device.name} is listed and isn't registered`;
      }
      const owned = [...regions].flatMap((region) => region.devices);
      if (owned.length < listed.length)
        yield `${listed.length} devices are listed, regions have ${owned.length}`;
      if (minors.size < owned.length) yield `${owned.length} devices have ${minors.size} minor numbers`;
    },
  },
  {
    name: "a device has each byte of its ranges to itself, and no hole in it",
    *check({ regions }) {
      for (const region of regions) {
        for (const device of region.devices) yield* checkRanges(device);
        const given = region.devices.reduce((bytes, device) => bytes + device.size, 0);
        if (
          region.devices.every(({ registered }) => registered) &&
          region.availableSize > region.resource.size - given
        )
          yield `dax_region ${region.id}: ${region.availableSize} bytes are free, and ${given} given away`;
      }
    },
  },
  {
    name: "a device is alive only while a driver has it, and then its ranges are reserved",
    *check({ regions, iomem }) {
      for (const { devices } of regions) {
        for (const device of devices) {
          if (!device.alive) continue;
          if (!device.driver) yield `${device.name} is alive, and no driver has it`;
          const reserved = [...descendants(iomem)].filter(({ name }) => name === device.name);
          for (const range of device.ranges) {
            if (!reserved.some(({ start, end }) => start === range.start && end === range.end))
              yield `${device.name} is alive, and ${formatRange(range)} isn't reserved`;
          }
        }
      }
    },
  },
];

function* checkRanges({ name, ranges, region }: DevDax): Generator<string, void, void> {
  let pages = 0;
  for (const range of ranges) {
    if (range.pgoff !== pages)
      yield `${name}: ${formatRange(range)} begins at page ${range.pgoff}, not ${pages}`;
    pages += rangeSize(range) / PAGE_SIZE;
    const part = region.resource.children.find(({ start }) => start === range.start);
    if (part?.name !== name || part.end !== range.end)
      yield `${name}: ${formatRange(range)} isn't its in the region`;
  }
}
