export {
  type BoundDriver,
  type DeviceView,
  type DriverHost,
  type DriverMirror,
  type DriverUnderTest,
} from "./driver.ts";
export { hmmDriverKit } from "./kit.ts";
