export { getUserPagesFast, getUserPagesFastOnly, pinUserPagesFast, pinUserPagesFastOnly } from "./fast.ts";
export { gupBenchmark, gupTest, type GupTestPolicy, gupTestTable } from "./gup-test.ts";
export { getUserPages, getUserPagesRemote, pinUserPages, pinUserPagesRemote } from "./gup.ts";
export { putUserPages, unpinUserPages, unpinUserPagesDirty } from "./unpin.ts";
