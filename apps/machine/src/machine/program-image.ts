// The program that all programs are: busybox as the captured kernel ran it, at its addresses and of its size, with the
// addresses that aren't drawn by lot. See `cat /proc/self/maps` in the capture.
import { KiB } from "@hetmem/kernel";
import { type ProgramImage, Prot, type Vm } from "@hetmem/mm";
import { createDiskFile, fileVmOps, OpenFile } from "@hetmem/page-cache";

const PATH = "/bin/busybox";
const INODE = 177;
const FILE_BYTES = 0x1e_5000;
const STACK_END = 0x7fff_ffff_f000;

export function busyboxImage(vm: Vm): ProgramImage {
  const inode = createDiskFile(vm, INODE, elfHeader());
  inode.size = FILE_BYTES;
  return {
    file: new OpenFile(inode, { path: PATH, writable: false, vmOps: fileVmOps }),
    segments: [
      { address: 0x40_0000, length: 0x1000, offset: 0, prot: Prot.READ },
      { address: 0x40_1000, length: 0x18_4000, offset: 0x1000, prot: Prot.READ | Prot.EXEC },
      { address: 0x58_5000, length: 0x5_6000, offset: 0x18_5000, prot: Prot.READ },
      { address: 0x5d_b000, length: 0x7000, offset: 0x1d_a000, prot: Prot.READ },
      { address: 0x5e_2000, length: 0x3000, offset: 0x1e_1000, prot: Prot.READ | Prot.WRITE },
      { address: 0x5e_5000, length: 0x7000, offset: undefined, prot: Prot.READ | Prot.WRITE },
    ],
    heap: { start: 0x4b1_e000, length: 136 * KiB },
    stack: { end: STACK_END, length: 132 * KiB },
  };
}

function elfHeader(): Uint8Array {
  return Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1);
}
