// daxctl: dax devices, and making RAM of them, through /sys as the real program does it. User space counterpart: daxctl(1)
// of ndctl 76.
import type { Program } from "../../program.ts";
import { tool } from "../tool/run.ts";
import { list } from "./list.ts";
import { offlineMemory, onlineMemory } from "./online.ts";
import { createDevice, destroyDevice, disableDevices, enableDevices } from "./partition.ts";
import { reconfigureDevice } from "./reconfigure.ts";

export const daxctl: Program = tool("daxctl", {
  list,
  "create-device": createDevice,
  "destroy-device": destroyDevice,
  "reconfigure-device": reconfigureDevice,
  "online-memory": onlineMemory,
  "offline-memory": offlineMemory,
  "disable-device": disableDevices,
  "enable-device": enableDevices,
});
