// A pair of tables as the memory core mounts them, small enough to read: blocks that come and go, and nodes.
import { type AttributeTable, Vfs } from "../src/index.ts";

export interface Blocks {
  /** Block number to its state. */
  readonly states: Map<string, string>;
  /** Everything that was stored, as `block:text`. */
  readonly stored: string[];
}

function memoryTable({ states, stored }: Blocks): AttributeTable {
  return {
    root: "/sys/devices/system/memory",
    instances: { block: () => states.keys(), node: ({ block }) => [Number(block) < 8 ? "0" : "1"] },
    files: {
      block_size_bytes: { show: () => "8000000\n" },
      probe: { store: (_, text) => void stored.push(`probe:${text}`) },
      "memory{block}/state": {
        show: ({ block = "" }) => `${states.get(block)}\n`,
        *store({ block = "" }, text) {
          stored.push(`${block}:${text}`);
        },
      },
      "memory{block}/valid_zones": {
        *show() {
          return "Normal Movable\n";
        },
      },
    },
    links: {
      "memory{block}/node{node}": ({ node }) => `../../node/node${node}`,
      "memory{block}/subsystem": () => "../../../../bus/memory",
    },
    directories: ["memory{block}/power", "power"],
  };
}

function nodeTable({ states }: Blocks): AttributeTable {
  return {
    root: "/sys/devices/system/node",
    instances: {
      node: () => ["0", "1"],
      block: ({ node }) => [...states.keys()].filter((block) => (Number(block) < 8 ? "0" : "1") === node),
    },
    files: {
      online: { show: () => "0-1\n" },
      "node{node}/distance": { show: ({ node }) => (node === "0" ? "10 21\n" : "21 10\n") },
      "node{node}/compact": { store: () => {} },
    },
    links: { "node{node}/memory{block}": ({ block }) => `../../memory/memory${block}` },
  };
}

export function smallMachine(blocks: readonly string[] = ["0", "1", "8", "10", "32"]): {
  vfs: Vfs;
  blocks: Blocks;
} {
  const state: Blocks = { states: new Map(blocks.map((block) => [block, "online"])), stored: [] };
  const vfs = new Vfs();
  vfs.mount(memoryTable(state));
  vfs.mount(nodeTable(state));
  return { vfs, blocks: state };
}
