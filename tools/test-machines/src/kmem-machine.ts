// The captured machine, limited to dax and kmem: two nodes of 1 GiB with a CPU each, a third node for persistent memory
// at 4 GiB, and the files of /sys and /proc that the captures read.
import {
  DaxBus,
  daxBusTables,
  daxDeviceTables,
  type DaxPmem,
  daxPmemProbe,
  type DaxPmemRequest,
  DeviceDax,
} from "@hetmem/dax";
import { GiB, type Kernel, nodeId, run } from "@hetmem/kernel";
import { Pagemaps } from "@hetmem/memremap";
import { noDevicePages, type Vm } from "@hetmem/mm";
import { createIomem, formatIomem, parseIomem, type ResourceTree } from "@hetmem/resource";
import { wholeVm } from "./whole-vm.ts";
import { Vfs } from "@hetmem/vfs";
import {
  alwaysRemovable,
  autoOnlineAnyType,
  type Memory,
  MemoryFailure,
  MemoryHotplug,
  memorySysfs,
  nodeSysfs,
} from "@hetmem/zone";
import { Kmem, type KmemPolicy } from "@hetmem/dax-kmem";
import { capturedNamespace, DISTANCES, POLICIES } from "./dax-machine.ts";
import { bootRam, type RamNode, sectionHotplug } from "./ram.ts";

const IOMEM = `00000000-3fffffff : System RAM
40000000-7fffffff : System RAM
80000000-ffffffff : Soft Reserved
100000000-13fffffff : Persistent Memory
  100000000-1011fffff : namespace0.0
1280000000-1a7fffffff : PCI Bus 0000:00
fce0000000-fcefffffff : hmm_dmirror
fcf0000000-fcffffffff : hmm_dmirror
fd00000000-ffffffffff : Reserved
`;

const SMALL_IOMEM = `00000000-03ffffff : System RAM
80000000-ffffffff : Soft Reserved
`;

export interface KmemMachine {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly iomem: ResourceTree;
  readonly hotplug: MemoryHotplug;
  readonly pagemaps: Pagemaps;
  readonly vm: Vm;
  readonly bus: DaxBus;
  readonly deviceDax: DeviceDax;
  readonly kmem: Kmem;
  readonly vfs: Vfs;
  read(path: string): string;
  write(path: string, text: string): void;
  dmesg(): string[];
  iomemText(): string;
}

export interface KmemMachineOptions {
  /** Bytes of each of the two nodes: 1 GiB when absent. */
  readonly nodeSize?: number;
  /** Bytes that devices may bring, 4 GiB when absent. */
  readonly deviceSize?: number;
  /** A cheap machine, to be made often: two nodes, the second without CPUs or memory, and no files. */
  readonly small?: boolean;
  readonly policy?: KmemPolicy;
}

export function kmemMachine({
  nodeSize = GiB,
  deviceSize = 4 * GiB,
  small = false,
  policy,
}: KmemMachineOptions = {}): KmemMachine {
  const physicalBits = small ? 36 : 46;
  const node = (id: number, cpus: number[]): RamNode => ({
    memory: cpus.length > 0 ? [[id * GiB, id * GiB + nodeSize]] : [],
    cpus,
  });
  const { kernel, memory } = bootRam(
    small ? [node(0, [0]), node(1, [])] : [node(0, [0]), node(1, [1]), node(2, [])],
    { distances: DISTANCES, physicalBits, room: deviceSize },
  );
  const iomem = parseIomem(small ? SMALL_IOMEM : IOMEM, createIomem(physicalBits));
  const hotplug = sectionHotplug({ memory, iomem, addressableEnd: 2 ** physicalBits });
  const pagemaps = new Pagemaps({
    hotplug,
    physicalBits,
    policies: POLICIES,
  });
  const vm = wholeVm(memory, {
    devices: {
      ...noDevicePages,
      tryGetPagemap: (page) => pagemaps.tryGetPagemap(page),
      putPagemap: (page) => pagemaps.putPagemap(page),
    },
  });
  const bus = new DaxBus({ kernel, iomem });
  const deviceDax = new DeviceDax({ vm, pagemaps });
  const kmem = new Kmem({ hotplug, memoryTypes: vm.tiers, ...(policy && { policy }) });
  run(bus.registerDriver(deviceDax));
  run(bus.registerDriver(kmem));
  const vfs = small ? new Vfs() : mountAll(memory, hotplug, bus);
  return {
    kernel,
    memory,
    iomem,
    hotplug,
    pagemaps,
    vm,
    bus,
    deviceDax,
    kmem,
    vfs,
    read: (path) => run(vfs.read(path)),
    write: (path, text) => run(vfs.write(path, `${text}\n`)),
    dmesg: () => kernel.log.records.map(({ text }) => text),
    iomemText: () => formatIomem(iomem, { privileged: true }),
  };
}

export function addNamespace({ bus }: KmemMachine, changes: Partial<DaxPmemRequest> = {}): DaxPmem {
  return run(daxPmemProbe(bus, capturedNamespace(changes)));
}

function mountAll(memory: Memory, hotplug: MemoryHotplug, bus: DaxBus): Vfs {
  const vfs = new Vfs();
  const tables = [
    ...daxBusTables(bus),
    ...daxDeviceTables(bus),
    memorySysfs({
      hotplug,
      failure: new MemoryFailure(memory, hotplug.locks),
      nodeOfAddress: () => nodeId(0),
      removable: alwaysRemovable,
      autoOnlineTypes: autoOnlineAnyType,
    }),
    ...nodeSysfs(memory, {
      blocksOfNode: (id) =>
        [...hotplug.blocks.values()].filter((block) => block.node === id).map((block) => block.id),
      isBlockOfNode: (id, owner) => hotplug.blocks.get(id)?.node === owner,
    }),
    { root: "/proc", files: { iomem: { show: () => formatIomem(hotplug.iomem, { privileged: true }) } } },
  ];
  for (const table of tables) vfs.mount(table);
  return vfs;
}
