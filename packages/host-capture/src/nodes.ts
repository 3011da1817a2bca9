// /sys/devices/system/node of a host: the possible and the online nodes, their distances, CPUs and memory blocks. Kernel
// counterpart: drivers/base/node.c. A kernel without NUMA has none.
import { KernelError, type NodeId, nodeId, parseIdList } from "@hetmem/kernel";
import { fileLabel, type HostTree } from "./tree.ts";

const ROOT = "/sys/devices/system/node";
/** `0-3,7`, or nothing. */
const ID_LIST = /^(?:\d{1,5}(?:-\d{1,5})?(?:,\d{1,5}(?:-\d{1,5})?)*)?\s*$/;

export interface HostNode {
  readonly id: NodeId;
  readonly cpus: readonly number[];
  /** Distances to the online nodes, in their order. */
  readonly distance: readonly number[];
  /** Memory blocks of the node. A block that spans two nodes belongs to both. */
  readonly blocks: readonly number[];
}

export interface HostNodes {
  readonly possible: readonly NodeId[];
  readonly online: readonly HostNode[];
}

/**
 * Reads the nodes.
 *
 * @returns undefined on a kernel without NUMA
 * @throws KernelError EINVAL for a file that does not hold what it should
 */
export function readNodes(tree: HostTree): HostNodes | undefined {
  const onlineIds = readIds(tree, `${ROOT}/online`);
  if (!onlineIds) return undefined;
  const possible = readIds(tree, `${ROOT}/possible`) ?? onlineIds;
  return {
    possible: possible.map(nodeId),
    online: onlineIds.map((id) => readNode(tree, nodeId(id), onlineIds.length)),
  };
}

function readNode(tree: HostTree, id: NodeId, onlineCount: number): HostNode {
  const path = `${ROOT}/node${id}`;
  const distance = (tree.read(`${path}/distance`) ?? "").trim().split(/\s+/).filter(Boolean).map(Number);
  if (
    distance.some((far) => !Number.isInteger(far)) ||
    (distance.length !== onlineCount && distance.length > 0)
  ) {
    throw new KernelError(
      "EINVAL",
      `${fileLabel(tree, `${path}/distance`)} does not hold one distance for each of ${onlineCount} online nodes: capture the file again`,
    );
  }
  return {
    id,
    cpus: readIds(tree, `${path}/cpulist`) ?? [],
    distance,
    blocks: tree.list(path).flatMap((name) => (/^memory\d+$/.test(name) ? [Number(name.slice(6))] : [])),
  };
}

function readIds(tree: HostTree, path: string): number[] | undefined {
  const text = tree.read(path);
  if (text === undefined) return undefined;
  // Numbers of nodes and CPUs are short; a range of long ones would be written out until memory is full.
  if (ID_LIST.test(text)) return parseIdList(text);
  throw new KernelError(
    "EINVAL",
    `${fileLabel(tree, path)}: "${text.trim().slice(0, 40)}" is not a list like 0-3,7: capture the file again`,
  );
}
