// The errno with which something fails.
import { KernelError } from "@hetmem/kernel";

/** @returns undefined when it doesn't fail */
export function errnoOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  }
}
