// Three processes want several times the memory that there is, of every kind: their own, shared, and of a file that is
// mapped and written to. The machine reclaims, swaps and kills; whoever is left reads what was written last, and all
// counts come out even.
import { assertInvariants, MiB, Random, run, type VirtAddr } from "@hetmem/kernel";
import { exitProcess, MapFlag, type Process, readUser, vmInvariants, writeUser } from "@hetmem/mm";
import { fileRead, fileWrite, memfdCreate, type OpenFile, truncate } from "@hetmem/page-cache";
import { CountingCharging } from "@hetmem/test-machines/counting-charging";
import { diskFile, map } from "@hetmem/test-machines/files";
import { type ShortMachine, shortMachine } from "@hetmem/test-machines/short-machine";
import { PAGE, pageAt } from "@hetmem/test-machines/vm-machine";
import { expect, test } from "vitest";
import { swapInvariants } from "../src/swap/invariants.ts";

/** Pages of each area: six megabytes, of which there are five on a machine of eight. */
const PAGES = 1500;
const STEPS = 8000;

/** Memory of one kind as a process maps it, and the last byte that was written to each page. */
interface Area {
  readonly start: VirtAddr;
  readonly written: Map<number, number>;
}

interface Crowd {
  readonly processes: readonly Process[];
  /** By process. */
  readonly areas: readonly (readonly Area[])[];
  readonly files: readonly { readonly file: OpenFile; readonly written: Map<number, number> }[];
}

function crowd({ spawn, vm }: ShortMachine): Crowd {
  const memfd = memfdCreate(vm, "shared", 0);
  run(truncate(memfd.host, PAGES * PAGE));
  const files = [memfd, diskFile(vm, PAGES).file].map((file) => ({
    file,
    written: new Map<number, number>(),
  }));
  const processes = ["one", "two", "three"].map((comm) => spawn(comm));
  const areas = processes.map((process) => [
    { start: map(process, undefined, PAGES, MapFlag.PRIVATE), written: new Map<number, number>() },
    ...files.map(({ file, written }) => ({ start: map(process, file, PAGES, MapFlag.SHARED), written })),
  ]);
  return { processes, areas, files };
}

/** Somebody reads or writes a page somewhere, as a process or through a file. */
function act({ processes, areas, files }: Crowd, random: Random, step: number): void {
  const who = random.below(processes.length);
  const process = processes[who] as Process;
  if (!process.mm) return;
  if (process.killed) return run(exitProcess(process));
  const page = random.below(PAGES);
  const byte = (step % 255) + 1;
  if (random.below(8) === 0) {
    const { file, written } = files[random.below(files.length)] as Crowd["files"][number];
    if (random.below(2) === 0) run(fileRead(file, page * PAGE, 1, process.mm));
    else if (run(fileWrite(file, page * PAGE, Uint8Array.of(byte), process.mm)) === 1)
      written.set(page, byte);
    return;
  }
  const { start, written } = (areas[who] as readonly Area[])[random.below(3)] as Area;
  if (random.below(4) === 0) run(readUser(process, pageAt(start, page), new Uint8Array(1)));
  else if (!run(writeUser(process, pageAt(start, page), Uint8Array.of(byte)))) written.set(page, byte);
}

/** Pages of those who are left that don't hold what was written to them last. */
function lost({ processes, areas }: Crowd): string[] {
  const found: string[] = [];
  for (const [who, process] of processes.entries())
    for (const { start, written } of areas[who] ?? [])
      for (const [page, byte] of written) {
        if (process.killed) continue;
        const into = new Uint8Array(1);
        const signal = run(readUser(process, pageAt(start, page), into));
        if (!signal && into[0] !== byte)
          found.push(`page ${page} of ${process.comm} is ${into[0]}, not ${byte}`);
      }
  return found;
}

function end({ processes, files }: Crowd): void {
  for (const process of processes) if (process.mm) run(exitProcess(process));
  for (const { file } of files) {
    run(truncate(file.host, 0));
    run(file.close());
  }
}

test.each([
  { title: "without swap", swap: undefined, nodes: [8 * MiB], killed: 2 },
  { title: "with too little swap", swap: 2 * MiB, nodes: [8 * MiB], killed: 1 },
  { title: "with too little swap on two nodes", swap: 2 * MiB, nodes: [4 * MiB, 4 * MiB], killed: 1 },
  { title: "with swap enough", swap: 16 * MiB, nodes: [8 * MiB], killed: 0 },
])(
  "$title, who survives reads what was written last, and nothing is lost or paid for twice",
  ({ swap, nodes, killed }) => {
    const charging = new CountingCharging();
    const machine = shortMachine({ nodes, charging, ...(swap !== undefined && { swap }) });
    const freeAtStart = machine.freePages();
    const all = crowd(machine);
    const random = new Random(1);
    for (let step = 0; step < STEPS; step++) {
      act(all, random, step);
      if (step % 1000 === 0) run(machine.vm.reclaim.runKswapd());
    }
    assertInvariants(machine.vm, [...vmInvariants, ...swapInvariants]);
    expect(lost(all)).toEqual([]);
    expect(machine.event("oom_kill")).toBe(killed);
    const [scanned, stolen] = (["pgscan", "pgsteal"] as const).map((what) => ({
      by: machine.event(`${what}_direct`) + machine.event(`${what}_kswapd`),
      of: machine.event(`${what}_anon`) + machine.event(`${what}_file`),
    }));
    expect(scanned?.by).toBe(scanned?.of);
    expect(stolen?.by).toBe(stolen?.of);
    end(all);
    expect([machine.freePages(), charging.pages, charging.slots, charging.wrong]).toEqual([
      freeAtStart,
      0,
      0,
      [],
    ]);
  },
  60_000,
);
