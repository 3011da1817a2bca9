// The outcome of a call that may fail with a KernelError.
import { KernelError } from "@hetmem/kernel";

/** "done", or the errno of a KernelError. @throws any other error */
export function outcome(body: () => unknown): string {
  try {
    body();
    return "done";
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
}
