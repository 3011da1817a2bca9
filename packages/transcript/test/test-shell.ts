// A shell on a file tree with one memory block, whose state can be read and not be changed to nonsense.
import { createKernel, KernelError } from "@hetmem/kernel";
import { PROGRAMS, Shell } from "@hetmem/shell";
import { Vfs } from "@hetmem/vfs";

export function testShell(): { readonly shell: Shell } {
  const vfs = new Vfs();
  vfs.mount({
    root: "/sys/devices/system/memory",
    files: {
      "memory1/state": {
        show: () => "online\n",
        store: (_, text) => {
          throw new KernelError("EINVAL", `${text.trim()} is no state`);
        },
      },
    },
  });
  return { shell: new Shell({ vfs, kernel: createKernel(), spec: { release: "6.1.192" } }, PROGRAMS) };
}
