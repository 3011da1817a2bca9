// Files that have a name and a number in each line, as user space reads them: /proc/meminfo and a node's meminfo.
// Kernel counterparts: meminfo_proc_show() in fs/proc/meminfo.c, node_read_meminfo() in drivers/base/node.c.

/**
 * The numbers by field name, in the units of the file. Lines of a node's meminfo begin with its number: `Node 0
 * MemFree:`.
 */
export function fieldsOf(text: string): Map<string, number> {
  const lines = text.split("\n").map((line) => /^(?:Node \d+ )?(\S+):\s+(\d+)/.exec(line));
  return new Map(lines.flatMap((parts) => (parts ? [[parts[1] ?? "", Number(parts[2])] as const] : [])));
}
