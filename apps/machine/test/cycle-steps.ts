// What happens to device memory from the day that it becomes a namespace until that is destroyed, one system call at a
// time, with processes in between. Each step can be seen to have happened.
import type { Random, Sleeps } from "@hetmem/kernel";
import type { MapLocation } from "@hetmem/ndctl";
import {
  bindClaim,
  bindNamespace,
  type Claim,
  storeAltName,
  storeClaimAlign,
  storeClaimMode,
  storeClaimNamespace,
  storeClaimUuid,
  storeHolderClass,
  storeSize,
  storeUuid,
  unbindClaim,
  unbindNamespace,
} from "@hetmem/nvdimm";
import { type CycleMachine, DAX, namespaceOf } from "./device-machine.ts";
import { endWorker, mapDevice, startWorker, type Worker } from "./device-users.ts";

/** One life of the memory. How it goes is drawn beforehand. */
export interface Life {
  readonly machine: CycleMachine;
  readonly random: Random;
  readonly map: MapLocation;
  readonly online: "online_movable" | "online_kernel";
  /** Whether the process that uses the memory is still there when it goes offline, and is moved. */
  readonly isMoved: boolean;
  worker?: Worker | undefined;
}

export interface Step {
  readonly name: string;
  act(life: Life): Sleeps<unknown>;
  happened(life: Life): boolean;
}

export function drawLife(machine: CycleMachine, random: Random): Life {
  return {
    machine,
    random,
    map: random.pick(["mem", "dev"]),
    online: random.pick(["online_movable", "online_kernel"]),
    isMoved: random.chance(1, 2),
  };
}

const DRIVERS = "/sys/bus/dax/drivers";
/** The only whole block of the module behind the namespace's metadata. */
const BLOCK = 33;
const STATE = `/sys/devices/system/memory/memory${BLOCK}/state`;
const SIZE = 256 * 2 ** 20;
const ALIGN = 2 * 2 ** 20;

/** @see `ndctl create-namespace -m devdax` */
const CREATE: readonly Step[] = [
  namespaceStep(
    "uuid",
    (namespace, { machine }) => storeUuid(namespace, machine.nvdimm.newUuid()),
    ({ uuid }) => uuid !== undefined,
  ),
  namespaceStep(
    "alt_name",
    (namespace) => storeAltName(namespace, "cycle"),
    ({ altName }) => altName === "cycle",
  ),
  namespaceStep(
    "size",
    (namespace) => storeSize(namespace, SIZE),
    ({ size }) => size === SIZE,
  ),
  namespaceStep(
    "holder_class",
    (namespace) => storeHolderClass(namespace, "dax"),
    ({ claimClass }) => claimClass === "dax",
  ),
  claimStep("claim uuid", (claim, { machine }) => storeClaimUuid(claim, machine.nvdimm.newUuid())),
  claimStep("claim mode", (claim, { map }) => storeClaimMode(claim, map === "mem" ? "ram" : "pmem")),
  claimStep("claim align", (claim) => storeClaimAlign(claim, ALIGN)),
  claimStep("claim namespace", (claim) => storeClaimNamespace(claim, "namespace0.0")),
  {
    name: "bind claim",
    act: ({ machine }) => bindClaim(claimOf(machine)),
    // Every life of the device has the number that the one before gave back.
    happened: ({ machine }) => machine.devices.dax.bus.devices.get(DAX)?.minor === 0,
  },
];

/** @see `daxctl reconfigure-device` */
const USE: readonly Step[] = [
  // No driver may have been able to take the device when it came.
  {
    name: "bind",
    act: (life) =>
      driverOf(life) === undefined ? writeOf(life, `${DRIVERS}/device_dax/bind`, DAX) : nothing(),
    happened: (life) => driverOf(life) === "device_dax",
  },
  { name: "map", act: ({ machine, random }) => mapDevice(machine, random), happened: () => true },
  write(`${DRIVERS}/device_dax/unbind`, DAX, (life) => driverOf(life) === undefined),
  write(`${DRIVERS}/kmem/new_id`, DAX, (life) => driverOf(life) === "kmem"),
  {
    name: "online",
    act: (life) => writeOf(life, STATE, life.online),
    happened: (life) => blockOf(life) === "online",
  },
  {
    name: "use",
    *act(life) {
      life.worker = yield* startWorker(life.machine, life.random);
    },
    happened: ({ worker }) => worker !== undefined,
  },
  leave("leave before", ({ isMoved }) => !isMoved),
  write(STATE, "offline", (life) => blockOf(life) === "offline"),
  leave("leave after", ({ isMoved }) => isMoved),
  write(`${DRIVERS}/kmem/remove_id`, DAX, () => true),
  write(`${DRIVERS}/kmem/unbind`, DAX, (life) => driverOf(life) === undefined),
  write(`${DRIVERS}/device_dax/bind`, DAX, (life) => driverOf(life) === "device_dax"),
  { name: "map again", act: ({ machine, random }) => mapDevice(machine, random), happened: () => true },
];

/** @see `ndctl destroy-namespace` */
const DESTROY: readonly Step[] = [
  {
    name: "unbind claim",
    act: ({ machine }) => unbindClaim(claimOf(machine)),
    happened: ({ machine }) => !machine.devices.dax.bus.devices.has(DAX),
  },
  {
    name: "claim without namespace",
    act: ({ machine }) => storeClaimNamespace(claimOf(machine), ""),
    happened: ({ machine }) => namespaceOf(machine).claim === undefined,
  },
  namespaceStep(
    "no holder_class",
    (namespace) => storeHolderClass(namespace, ""),
    ({ claimClass }) => claimClass === "none",
  ),
  namespaceStep(
    "bind raw",
    function* (namespace) {
      namespace.forceRaw = true;
      yield* bindNamespace(namespace);
    },
    ({ driver }) => driver !== undefined,
  ),
  namespaceStep(
    "wipe",
    function* ({ disk }) {
      yield* disk?.write(0, new Uint8Array(8192)) ?? nothing();
    },
    () => true,
  ),
  namespaceStep(
    "unbind raw",
    function* (namespace) {
      yield* unbindNamespace(namespace);
      namespace.forceRaw = false;
    },
    ({ driver }) => driver === undefined,
  ),
  namespaceStep(
    "no alt_name",
    (namespace) => storeAltName(namespace, ""),
    ({ altName }) => altName === "",
  ),
  namespaceStep(
    "no size",
    (namespace) => storeSize(namespace, 0),
    ({ size }) => size === 0,
  ),
];

export const STEPS: readonly Step[] = [...CREATE, ...USE, ...DESTROY];

type Namespace = ReturnType<typeof namespaceOf>;

function namespaceStep(
  name: string,
  act: (namespace: Namespace, life: Life) => Sleeps<unknown>,
  happened: (namespace: Namespace) => boolean,
): Step {
  return {
    name,
    act: (life) => act(namespaceOf(life.machine), life),
    happened: ({ machine }) => happened(namespaceOf(machine)),
  };
}

function claimStep(name: string, act: (claim: Claim, life: Life) => Sleeps<void>): Step {
  return { name, act: (life) => act(claimOf(life.machine), life), happened: () => true };
}

function write(path: string, text: string, happened: Step["happened"]): Step {
  return { name: `${text} > ${path}`, act: (life) => writeOf(life, path, text), happened };
}

function leave(name: string, isTime: (life: Life) => boolean): Step {
  return {
    name,
    *act(life) {
      if (!life.worker || !isTime(life)) return;
      yield* endWorker(life.worker);
      life.worker = undefined;
    },
    happened: (life) => !isTime(life) || life.worker === undefined,
  };
}

function writeOf({ machine }: Life, path: string, text: string): Sleeps<void> {
  return machine.vfs.write(path, `${text}\n`);
}

function driverOf({ machine }: Life): string | undefined {
  return machine.devices.dax.bus.devices.get(DAX)?.driver?.name;
}

function blockOf({ machine }: Life): string | undefined {
  return machine.hotplug.blocks.get(BLOCK)?.state;
}

/** The claim that has the namespace, or is going to have it. */
function claimOf(machine: CycleMachine): Claim {
  const { claim, region } = namespaceOf(machine);
  const found = claim ?? region.claimSeeds.dax;
  if (!found) throw new Error("the region has no claim for a namespace in devdax mode");
  return found;
}

function* nothing(): Sleeps<void> {}
