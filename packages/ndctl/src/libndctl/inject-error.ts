// `ndctl inject-error`: asks the firmware to make sectors of a namespace bad, and to make them good again. User space counterpart:
// ndctl/lib/inject.c; kernel counterpart: ND_CMD_CALL in drivers/nvdimm/bus.c passes it on.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { numberIn, type TreeContext } from "../sysfs/attributes.ts";
import { SECTOR_SIZE } from "./badblocks.ts";
import type { NdctlContext } from "./context.ts";
import type { AddressRange } from "./device-nodes.ts";
import type { NdBus, NdNamespace } from "./devices.ts";
import { dataOf, namespaceFacts } from "./facts.ts";

export interface InjectErrorOptions {
  /** Sector of 512 bytes, from where the namespace's data begins; in sector mode from where the namespace does. */
  readonly block: number;
  /** Sectors; default 1. */
  readonly count?: number;
  /** `--no-notify` is false: the kernel isn't told, and the error is met when it is read. */
  readonly notify?: boolean;
  /** `--saturate`: all of a sector is bad, and not just its first unit. */
  readonly saturate?: boolean;
}

/** Bits of the commands that set, clear and list injected errors in a bus's `dsm_mask`. @see NFIT_CMD_ARS_INJECT_SET */
const INJECT_COMMANDS = [7, 8, 9];

/** @see ndctl_bus_has_error_injection() */
export function* hasErrorInjection(context: TreeContext, { path }: NdBus): Sleeps<boolean> {
  const mask = (yield* numberIn(context, `${path}/nfit/dsm_mask`)) ?? 0;
  return INJECT_COMMANDS.every((command) => ((mask >> command) & 1) === 1);
}

/**
 * Makes sectors unreadable; their contents are lost. The kernel is told, and asks the firmware for all that it knows.
 *
 * @throws KernelError EOPNOTSUPP when the firmware can't, EINVAL when the sectors leave the namespace
 * @see ndctl_namespace_inject_error2()
 */
export function* injectError(
  context: NdctlContext,
  namespace: NdNamespace,
  options: InjectErrorOptions,
): Sleeps<void> {
  const report = (options.notify ?? true) ? "notify" : "silent";
  for (const range of yield* rangesOf(context, namespace, options))
    yield* context.nodes.injectError(nodeOf(namespace), range, report);
}

/**
 * Takes back injected errors. The kernel's list of bad sectors stays as it is until they are written.
 *
 * @throws KernelError as injectError() does
 * @see ndctl_namespace_uninject_error2()
 */
export function* uninjectError(
  context: NdctlContext,
  namespace: NdNamespace,
  options: InjectErrorOptions,
): Sleeps<void> {
  for (const range of yield* rangesOf(context, namespace, options))
    yield* context.nodes.uninjectError(nodeOf(namespace), range);
}

/** Runs of sectors of a namespace in which errors are injected. @throws KernelError EOPNOTSUPP @see ndctl_namespace_injection_status() */
export function* injectedErrors(
  context: NdctlContext,
  namespace: NdNamespace,
): Sleeps<{ readonly block: number; readonly count: number }[]> {
  yield* expectInjection(context, namespace);
  const data = dataOf(yield* namespaceFacts(context, namespace));
  const sectors = new Set<number>();
  for (const { start, end } of yield* context.nodes.injectedErrors(nodeOf(namespace), data)) {
    const first = Math.floor((start - data.start) / SECTOR_SIZE);
    const last = Math.ceil((end - data.start) / SECTOR_SIZE);
    for (let sector = first; sector < last; sector++) sectors.add(sector);
  }
  return runsOf([...sectors].sort((one, other) => one - other));
}

/** @see block_to_spa_offset(), ndctl_namespace_get_clear_unit() */
function* rangesOf(
  context: NdctlContext,
  namespace: NdNamespace,
  { block, count = 1, saturate = false }: InjectErrorOptions,
): Sleeps<AddressRange[]> {
  yield* expectInjection(context, namespace);
  const data = dataOf(yield* namespaceFacts(context, namespace));
  if (block < 0 || count < 1 || data.start + (block + count) * SECTOR_SIZE > data.end)
    throw new KernelError("EINVAL", `block ${block}+${count} is not inside of ${namespace.name}`);
  const unit = yield* context.nodes.clearErrorUnit(nodeOf(namespace), data);
  const length = saturate ? SECTOR_SIZE : Math.min(unit, SECTOR_SIZE);
  return Array.from({ length: count }, (_none, i) => {
    const start = data.start + (block + i) * SECTOR_SIZE;
    return { start, end: start + length };
  });
}

function* expectInjection(context: TreeContext, { name, bus }: NdNamespace): Sleeps<void> {
  if (!(yield* hasErrorInjection(context, bus)))
    throw new KernelError("EOPNOTSUPP", `the firmware of ${bus.name} can't inject errors into ${name}`);
}

function runsOf(sectors: readonly number[]): { block: number; count: number }[] {
  const runs: { block: number; count: number }[] = [];
  for (const sector of sectors) {
    const last = runs.at(-1);
    if (last && last.block + last.count === sector) last.count++;
    else runs.push({ block: sector, count: 1 });
  }
  return runs;
}

function nodeOf({ bus }: NdNamespace): string {
  return `/dev/ndctl${bus.id}`;
}
