// Files with a name and a number a line, as user space reads them: /proc/meminfo, and the same of a node. Kernel counterparts:
// meminfo_proc_show() in fs/proc/meminfo.c, node_read_meminfo() in drivers/base/node.c.

/** The numbers by their names, without the units behind them. Lines of a node begin with its number: `Node 0 MemFree:`. */
export function fieldsOf(text: string): Map<string, number> {
  const lines = text.split("\n").map((line) => /^(?:Node \d+ )?(\S+):\s+(\d+)/.exec(line));
  return new Map(lines.flatMap((parts) => (parts ? [[parts[1] ?? "", Number(parts[2])] as const] : [])));
}
