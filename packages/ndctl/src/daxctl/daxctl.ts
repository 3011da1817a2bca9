// daxctl: dax devices, and making RAM of them, through /sys as the real program does it. User space counterpart: daxctl(1)
// of ndctl 76.
import type { Program } from "@hetmem/shell";
import { helpOf, notModelled, tool, version } from "../tool.ts";
import { list } from "./list.ts";
import { offlineMemory, onlineMemory } from "./online.ts";
import { createDevice, destroyDevice, disableDevices, enableDevices } from "./partition.ts";
import { reconfigureDevice } from "./reconfigure.ts";

export const daxctl: Program = tool("daxctl", {
  version,
  list,
  help: helpOf("daxctl"),
  "split-acpi": notModelled("split-acpi divides ranges of dumped ACPI tables"),
  "migrate-device-model": notModelled(
    "migrate-device-model chooses a driver for the next boot: a profile of the machine decides that",
  ),
  "create-device": createDevice,
  "destroy-device": destroyDevice,
  "reconfigure-device": reconfigureDevice,
  "online-memory": onlineMemory,
  "offline-memory": offlineMemory,
  "disable-device": disableDevices,
  "enable-device": enableDevices,
});
