export { hmmDriverOf } from "./hmm-driver-of.ts";
export { gpuDriverKit } from "./kit.ts";
