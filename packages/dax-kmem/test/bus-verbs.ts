// What an administrator writes to the files of the bus, as tasks: the bus's own functions behind them are not public.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { daxBusTables } from "@hetmem/dax";
import { type KmemMachine } from "@hetmem/test-machines/kmem-machine";

export function bind(machine: KmemMachine, driver: string): Sleeps<void> {
  return write(machine, driver, "bind");
}

export function unbind(machine: KmemMachine, driver: string): Sleeps<void> {
  return write(machine, driver, "unbind");
}

export function newId(machine: KmemMachine, driver: string): Sleeps<void> {
  return write(machine, driver, "new_id");
}

function* write({ bus }: KmemMachine, driver: string, file: string): Sleeps<void> {
  const [table] = daxBusTables(bus);
  const task = table?.files?.[`drivers/{driver}/${file}`]?.store?.({ driver }, "dax0.0\n");
  if (task === undefined) throw new KernelError("ENOENT", `there is no file ${file} of ${driver}`);
  yield* task;
}
