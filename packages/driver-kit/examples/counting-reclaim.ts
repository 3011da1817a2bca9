// A reclaim that calls ours, and counts the requests that it is asked for. See docs/ports/reclaim.md.
import type { PageReclaim } from "@hetmem/mm/ports";
import { Reclaim } from "@hetmem/reclaim";

export class CountingReclaim extends Reclaim {
  requests = 0;

  override allocSlowly(
    ...request: Parameters<PageReclaim["allocSlowly"]>
  ): ReturnType<PageReclaim["allocSlowly"]> {
    this.requests++;
    return super.allocSlowly(...request);
  }
}
