export { IntervalTree } from "./interval-tree.ts";
export { entryValue, isValue, MAX_INDEX, NO_INDEX, valueEntry, XaMark, XArray } from "./xarray.ts";
