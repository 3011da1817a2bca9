// A process and a device share pointers: both read and write the same memory, and the device follows each change that the
// process makes to its address space.
import {
  createKernel,
  GiB,
  KernelError,
  MiB,
  nodeId,
  PAGE_SIZE,
  physAddr,
  run,
  virtAddr,
} from "@hetmem/kernel";
import {
  allocMm,
  exitProcess,
  forkProcess,
  MapFlag,
  mmap,
  mprotect,
  munmap,
  Prot,
  readUser,
  Vm,
  writeUser,
} from "@hetmem/mm";
import { bootMemory } from "@hetmem/zone";
import { Mirror } from "./mirror.ts";

const vm = new Vm(
  bootMemory(createKernel(), {
    nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(64 * MiB) }], cpus: [0] }],
    physicalBits: 40,
    maxPages: GiB / PAGE_SIZE,
  }),
);
const mm = allocMm(vm, nodeId(0));
if (mm === undefined) throw new Error("no memory for a page table");
const process = vm.processes.add("app", mm, undefined);
const address = run(
  mmap(mm, {
    length: 4 * PAGE_SIZE,
    prot: Prot.READ | Prot.WRITE,
    flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS,
  }),
);
const mirror = new Mirror(mm);
run(mirror.open());

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
function readBy(reader: "cpu" | "device"): string {
  const bytes = new Uint8Array(5);
  if (reader === "cpu") run(readUser(process, address, bytes));
  else run(mirror.read(address, bytes));
  return new TextDecoder().decode(bytes);
}

run(writeUser(process, address, bytesOf("hello")));
console.log(`the process wrote, the device reads "${readBy("device")}"`);
run(mirror.write(address, bytesOf("H")));
console.log(`the device wrote, the process reads "${readBy("cpu")}"`);

console.log("fork: the pages are shared, and neither process may write to them");
const child = run(forkProcess(process));
console.log("the process writes, which copies its page");
run(writeUser(process, address, bytesOf("J")));
console.log(`the device follows to the copy: "${readBy("device")}"`);
run(exitProcess(child));

console.log("mprotect: the memory is read-only");
run(mprotect(mm, address, 4 * PAGE_SIZE, Prot.READ));
attempt("write", () => run(mirror.write(address, bytesOf("no"))));

console.log("munmap: one page goes");
run(munmap(mm, address, PAGE_SIZE));
attempt("read", () => void readBy("device"));
attempt("read of the next page", () => run(mirror.read(virtAddr(address + PAGE_SIZE), new Uint8Array(1))));

run(mirror.close());
run(exitProcess(process));

function attempt(what: string, access: () => void): void {
  try {
    access();
    console.log(`a ${what} by the device: done`);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    console.log(`a ${what} by the device: ${error.message}`);
  }
}
