// Colours, named for the thing that is painted. Without a terminal, or with NO_COLOR, all are plain text, so a report must be
// readable without them.
import picocolors from "picocolors";
import type { StretchKind } from "./view.ts";

export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  title(text: string): string;
  good(text: string): string;
  warn(text: string): string;
  kind(kind: StretchKind, text: string): string;
}

/** @param enabled whether the terminal shows colours */
export function createPaint(enabled: boolean): Paint {
  const c = picocolors.createColors(enabled);
  const kinds: Record<StretchKind, (text: string) => string> = {
    DMA: c.yellow,
    DMA32: c.cyan,
    Normal: c.green,
    Movable: c.magenta,
    offline: c.gray,
    hidden: c.yellow,
    pmem: c.blue,
    reserved: c.cyan,
    gpu: c.magenta,
    firmware: c.red,
    device: c.gray,
    online: c.green,
  };
  return {
    bold: c.bold,
    dim: c.dim,
    title: (text) => c.bold(text),
    good: c.green,
    warn: c.yellow,
    kind: (kind, text) => kinds[kind](text),
  };
}
