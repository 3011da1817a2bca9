// The devices of a machine that compute: each is probed at boot by the first driver that is for it, with the policy that its
// specification names. Kernel counterpart: __device_attach() in drivers/base/dd.c.
import {
  type GpuDescription,
  type GpuDevice,
  type GpuDriver,
  type GpuHost,
  type GpuMemory,
  type MigrationPolicy,
  type MigrationPolicyChoice,
  migrationPolicyNamed,
} from "@hetmem/gpu/driver";
import { errnoNumber, KernelError, run, writeSize } from "@hetmem/kernel";
import type { GpuSpec } from "@hetmem/machine-spec";
import { MEMORY_TYPES } from "@hetmem/memremap";
import type { AttributeTable } from "@hetmem/vfs";
import { checkMade } from "../../parts/check-parts.ts";
import { MachineGpu } from "./machine-gpu.ts";

export interface GpusInit {
  readonly specs: readonly GpuSpec[];
  /** In order of precedence. */
  readonly drivers: readonly GpuDriver[];
  /** The policies that a specification can name. */
  readonly policies: readonly MigrationPolicyChoice[];
  readonly host: GpuHost;
}

export class Gpus {
  /** By name, in the order of the specification. */
  readonly all: ReadonlyMap<string, MachineGpu>;

  /** @throws KernelError EINVAL for a policy that the machine doesn't have */
  constructor({ specs, drivers, policies, host }: GpusInit) {
    const descriptions = specs.map((spec) => describe(spec, policies));
    const all = descriptions.flatMap((description, minor) => attach(description, minor, drivers, host) ?? []);
    this.all = new Map(all.map((gpu) => [gpu.name, gpu]));
  }

  /** /sys/kernel/debug/gpu0 and so on. */
  get tables(): AttributeTable[] {
    return Array.from(this.all.values(), ({ name, device: { debugfs = {} } }) => ({
      root: `/sys/kernel/debug/${name}`,
      files: debugfs,
    }));
  }
}

/** The description of a device, with its policy in place of the policy's name. @throws KernelError EINVAL */
function describe(
  { policy, ...described }: GpuSpec,
  policies: readonly MigrationPolicyChoice[],
): GpuDescription {
  const chosen = policy === undefined ? firstOf(policies) : policyOf(policy, policies);
  return chosen === undefined ? described : { ...described, policy: chosen };
}

function policyOf(
  policy: MigrationPolicy | string,
  policies: readonly MigrationPolicyChoice[],
): MigrationPolicy {
  return typeof policy === "string" ? migrationPolicyNamed(policy, policies) : policy;
}

function firstOf(policies: readonly MigrationPolicyChoice[]): MigrationPolicy | undefined {
  const [first] = policies.filter((choice) => "name" in choice);
  return first;
}

/**
 * Binds the first driver that is for a device and whose probe succeeds. A device without one isn't there, and the log says so.
 *
 * @see __device_attach_driver() in drivers/base/dd.c
 */
function attach(
  description: GpuDescription,
  minor: number,
  drivers: readonly GpuDriver[],
  host: GpuHost,
): MachineGpu | undefined {
  const { kernel } = host.vm;
  const matching = drivers.filter((driver) => driver.match(description));
  for (const driver of matching) {
    const device = probe(driver, description, host);
    if (device) return new MachineGpu({ kernel, description, minor, driver, device });
  }
  if (matching.length === 0)
    kernel.log.printk(4, `${description.name}: no driver took it: pass one that matches it in gpuDrivers`);
  return undefined;
}

function probe(driver: GpuDriver, description: GpuDescription, host: GpuHost): GpuDevice | undefined {
  const { log } = host.vm.kernel;
  const { name } = description;
  let device: GpuDevice;
  try {
    device = run(driver.probe(host, description));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    log.printk(3, `${driver.name} ${name}: ${error.reason}`);
    log.printk(4, `${driver.name}: probe of ${name} failed with error ${-errnoNumber(error.errno)}`);
    return undefined;
  }
  checkMade("gpuDrivers", device);
  const parts = [memoryText(description, device.memory), device.policy?.name];
  log.printk(6, `${name}: ${parts.filter((part) => part !== undefined).join(", ")}`);
  return device;
}

/** "64M of MEMORY_DEVICE_PRIVATE at [mem 0xff8000000-0xffbffffff]". */
function memoryText({ memory: kind, size }: GpuDescription, memory: GpuMemory | undefined): string {
  if (!memory) return "no memory";
  const { pagemap } = memory;
  if (!pagemap) return `${writeSize(size)} of ${kind} memory`;
  const { start } = pagemap.ranges[0] ?? { start: 0 };
  const where = `[mem 0x${start.toString(16)}-0x${(start + size - 1).toString(16)}]`;
  return `${writeSize(size)} of ${MEMORY_TYPES[pagemap.type].name} at ${where}`;
}
