// A shell on a hand-made file system: a few blocks that take states as the real ones do, and nodes.
import { createKernel, type Kernel, KernelError, Random, run } from "@hetmem/kernel";
import { type AttributeTable, Vfs } from "@hetmem/vfs";
import { type ProcessPort, PROGRAMS, type Programs, Shell, type ShellResult } from "../src/index.ts";

export interface TestShell {
  readonly shell: Shell;
  readonly kernel: Kernel;
  readonly vfs: Vfs;
  readonly states: Map<string, string>;
  /** Every store, as `file:text`. */
  readonly stored: string[];
  /** Runs a line. */
  sh(line: string): ShellResult;
}

export function testShell({
  processes,
  programs = {},
  blocks = ["0", "1", "8", "10"],
}: { processes?: ProcessPort; programs?: Programs; blocks?: readonly string[] } = {}): TestShell {
  const kernel = createKernel();
  const vfs = new Vfs();
  const states = new Map(blocks.map((block) => [block, "online"]));
  const stored: string[] = [];
  vfs.mkdir("/tmp");
  vfs.mount({
    root: "/sys/devices/system/memory",
    instances: { block: () => states.keys(), node: ({ block }) => [nodeOf(block)] },
    files: {
      block_size_bytes: { show: () => "8000000\n" },
      probe: { store: (_, text) => void stored.push(`probe:${text}`) },
      "memory{block}/state": {
        show: ({ block = "" }) => `${states.get(block)}\n`,
        store: ({ block = "" }, text) => {
          stored.push(`${block}:${text}`);
          if (!/^(online|offline)/.test(text)) throw new KernelError("EINVAL", `${text} is no state`);
          if (block === "8") throw new KernelError("EBUSY", "memory8 holds a pinned page");
          states.set(block, text.trim());
        },
      },
      "memory{block}/removable": { show: () => "1\n" },
      "memory{block}/valid_zones": { show: ({ block }) => (block === "0" ? "none\n" : "DMA32\n") },
    },
    links: { "memory{block}/node{node}": ({ node }) => `../../node/node${node}` },
    directories: ["memory{block}/power"],
  });
  vfs.mount({
    root: "/sys/devices/system/node",
    instances: { node: () => ["0", "1"] },
    files: {
      online: { show: () => "0-1\n" },
      possible: { show: () => "0-2\n" },
      "node{node}/cpulist": { show: ({ node }) => `${node}\n` },
      "node{node}/distance": { show: ({ node }) => (node === "0" ? "10 21\n" : "21 10\n") },
      "node{node}/meminfo": {
        show: ({ node }) =>
          `Node ${node} MemTotal:        1031040 kB\nNode ${node} MemFree:         1001000 kB\n`,
      },
    },
    directories: ["power"],
  });
  vfs.mount(memoryDevices());
  const machine = { vfs, kernel, spec: { release: "6.1.192-oracle" }, ...(processes ? { processes } : {}) };
  const shell = new Shell(machine, { ...PROGRAMS, ...programs });
  return { shell, kernel, vfs, states, stored, sh: (line) => run(shell.execute(line)) };
}

function nodeOf(block = ""): string {
  return Number(block) < 8 ? "0" : "1";
}

/** Zeros, and bytes of a seed. */
function memoryDevices(): AttributeTable {
  const random = new Random(0);
  return {
    root: "/dev",
    files: {
      zero: { mode: 0o666, readAt: (_, __, length) => new Uint8Array(length), store: () => {} },
      urandom: {
        mode: 0o444,
        readAt: (_, __, length) => Uint8Array.from({ length }, () => random.nextUint32() & 0xff),
      },
    },
  };
}
