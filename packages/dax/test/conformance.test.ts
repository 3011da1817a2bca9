// device_dax meets every obligation of a driver of the dax bus.
import { checkConformance, conforms, formatConformance } from "@hetmem/driver-kit";
import { daxDriverKit } from "@hetmem/driver-kit/dax-driver";
import { expect, test } from "vitest";
import { DeviceDax } from "../src/index.ts";

test("device_dax meets every obligation", () => {
  const subject = { name: "device_dax", create: (host: DeviceDaxHost) => new DeviceDax(host) };
  const report = checkConformance(daxDriverKit, subject, { seeds: 7 });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

type DeviceDaxHost = ConstructorParameters<typeof DeviceDax>[0];
