// Accounts of tenants in place of memory cgroups: each tenant may use a number of bytes of memory, whichever processes it has.
// `chargeByPayer()` of @hetmem/mm remembers the tenant that paid for each page, also when the page moves, is split or is
// freed by another process; only the accounts are left to write. The program `tenant` is the administrator's side of it.
import { formatBytes, KernelError, PAGE_SIZE } from "@hetmem/kernel";
import { chargeByPayer, type PageCharging } from "@hetmem/mm";
import type { MachineParts, Program } from "hetmem";

interface Tenant {
  readonly name: string;
  /** Bytes that it may have, and that it has. */
  readonly limit: number;
  used: number;
}

/**
 * The parts of a machine with tenants: what charges, and the program.
 *
 * @param limits bytes by name of the tenant
 */
export function tenantParts(limits: Readonly<Record<string, number>>): Partial<MachineParts> {
  const tenants = Object.entries(limits).map(([name, limit]) => ({ name, limit, used: 0 }));
  const summary = "give a process to a tenant: tenant NAME PID; without arguments, show what each uses";
  return {
    charging() {
      // Called at each boot: nothing is in use then.
      for (const tenant of tenants) tenant.used = 0;
      return { charging: accountsOf(tenants) };
    },
    programs: { tenant: { summary, run: programOf(tenants) } },
  };
}

/** A payer is the number of a tenant plus one: 0 is the payer of processes that belong to no tenant. */
function accountsOf(tenants: readonly Tenant[]): PageCharging {
  return chargeByPayer({
    tryCharge(payer, pages) {
      const tenant = tenants[payer - 1];
      if (tenant === undefined) return true;
      const bytes = pages * PAGE_SIZE;
      if (tenant.used + bytes > tenant.limit) return false;
      tenant.used += bytes;
      return true;
    },
    uncharge(payer, pages) {
      const tenant = tenants[payer - 1];
      if (tenant !== undefined) tenant.used -= pages * PAGE_SIZE;
    },
  });
}

function programOf(tenants: readonly Tenant[]): Program {
  return function* (io, [name, pid]) {
    if (name === undefined) {
      for (const { name: each, used, limit } of tenants)
        io.out(`${each}: ${formatBytes(used)} of ${formatBytes(limit)}\n`);
      return 0;
    }
    const payer = tenants.findIndex((tenant) => tenant.name === name) + 1;
    const process = io.machine.processes?.userSpace?.vm.processes.find(Number(pid));
    if (payer === 0 || process?.mm === undefined)
      throw new KernelError("ESRCH", `there is no tenant ${name}, or no process ${pid}`);
    // Pages that the process has already stay with who paid for them.
    process.mm.payer = payer;
    return 0;
  };
}
