// Charging of one's own: each process is a payer with a limit of its own.
import assert from "node:assert/strict";
import { run } from "@hetmem/kernel";
import { chargeByPayer, type MmStruct, type PageCharging } from "@hetmem/mm";
import { createMachine, machineOfYaml, openShell } from "hetmem";

const LIMIT = 1024; // pages: 4 MiB
const used = new Map<number, number>();
function chargeByProcess(): PageCharging {
  const accounts = chargeByPayer({
    tryCharge(payer, pages) {
      const after = (used.get(payer) ?? 0) + pages;
      if (payer !== 0 && after > LIMIT) return false;
      used.set(payer, after);
      return true;
    },
    uncharge: (payer, pages) => void used.set(payer, (used.get(payer) ?? 0) - pages),
  });
  // A new address space has the payer of its creator until its first page is charged.
  const seen = new WeakSet<MmStruct>();
  const named = (mm: MmStruct | undefined): MmStruct | undefined => {
    if (mm && !seen.has(mm)) {
      seen.add(mm);
      mm.payer = mm.id;
    }
    return mm;
  };
  return {
    ...accounts,
    tryCharge: (mm, page, pages) => accounts.tryCharge(named(mm), page, pages),
    charge: (mm, page, pages, gfp) => accounts.charge(named(mm), page, pages, gfp),
  };
}
const machine = createMachine(machineOfYaml("nodes: [{ memory: 1G, cpus: 0-1 }]", "charging.yaml", "v6.1"), {
  charging: () => ({ charging: chargeByProcess() }),
});
const shell = openShell(machine);
const sh = (line: string) => run(shell.execute(line));
const payerOf = (pid: string) => machine.vm.processes.get(Number(pid))?.mm?.payer ?? -1;

const a = sh("proc start a").output.trim();
const b = sh("proc start b").output.trim();
assert.notEqual(payerOf(a), payerOf(b));
const before = used.get(payerOf(a)) ?? 0;
assert.equal(sh(`proc mmap ${a} 2M --populate`).status, 0);
assert.ok((used.get(payerOf(a)) ?? 0) - before >= 512);
const big = sh(`proc mmap ${b} 8M`).output.trim();
const payer = payerOf(a),
  payerB = payerOf(b);
const touched = sh(`proc touch ${b} ${big} 8M`);
assert.equal(touched.status, 137, touched.output);
assert.equal(used.get(payerB), 0);
sh(`proc exit ${a}`);
assert.equal(used.get(payer), 0);
console.log("pages were counted per process; b was killed at its limit, a wasn't");
