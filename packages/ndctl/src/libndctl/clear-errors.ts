// `ndctl clear-errors`: asks the firmware to make known bad sectors of a namespace readable. User space counterpart: namespace_clear_bb() in
// ndctl/namespace.c; kernel counterpart: ND_CMD_CLEAR_ERROR in drivers/nvdimm/bus.c.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { badRangesOf, sectorsIn } from "./badblocks.ts";
import type { NdctlContext } from "./context.ts";
import { holderOf, type NdNamespace } from "./devices.ts";
import { checkDisable } from "./enable.ts";
import { dataOf, namespaceFacts } from "./facts.ts";
import { hasScrub, startScrub, waitScrub } from "./scrub.ts";

/**
 * Clears the sectors that are known to be bad; with `scrub` a scrub looks for others first. The contents are lost, and zeros are in their
 * place. The metadata of fsdax and devdax namespaces is left alone, and so are namespaces in sector mode. The program disables the
 * namespace meanwhile; here that is only asked for.
 *
 * @returns sectors that were cleared; undefined for sector mode, where nothing is done
 * @throws KernelError ENOTTY when the firmware can't clear, EOPNOTSUPP when it can't scrub, EBUSY when the namespace can't be disabled:
 * it is mounted, or RAM that is online
 */
export function* clearErrors(
  context: NdctlContext,
  namespace: NdNamespace,
  options: { readonly scrub?: boolean } = {},
): Sleeps<number | undefined> {
  const { region, bus } = namespace;
  if ((yield* holderOf(context, namespace))?.kind === "btt") return undefined;
  if (options.scrub) yield* startScrub(context, bus);
  if (hasScrub(context, bus)) yield* waitScrub(context, bus);
  yield* expectUnused(context, namespace);
  const bad = yield* badRangesOf(context, region, dataOf(yield* namespaceFacts(context, namespace)));
  for (const range of bad) yield* context.nodes.clearError(`/dev/ndctl${bus.id}`, range);
  return sectorsIn(bad);
}

function* expectUnused(context: NdctlContext, namespace: NdNamespace): Sleeps<void> {
  const device = (yield* holderOf(context, namespace)) ?? namespace;
  try {
    yield* checkDisable(context, namespace);
  } catch (error) {
    if (error instanceof KernelError)
      context.report.error(`${device.name}: unable to disable namespace: ${strerror(error.errno)}`);
    throw error;
  }
}
