// The ending of something that may fail as the kernel lets it.
import { KernelError } from "@hetmem/kernel";

/** "done", or the errno. @throws whatever is no KernelError */
export function outcome(body: () => unknown): string {
  try {
    body();
    return "done";
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
}
