export { grabUserPages, walkUserPages } from "./faultin-page.ts";
export { Foll, follFlags, type FollOptions } from "./foll.ts";
export { assertPinnable, Follow, followPage, mustUnshare } from "./follow-page.ts";
export {
  compoundPincount,
  countPins,
  GUP_PIN_COUNTING_BIAS,
  isLongtermPinnable,
  pageMaybeDmaPinned,
  putGrabbedPage,
  tryGrabPage,
  tryGrabUncounted,
} from "./pin-count.ts";
export { faultinPageRange } from "./populate.ts";
