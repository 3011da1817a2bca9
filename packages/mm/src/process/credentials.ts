// Capabilities of a process: privileges beyond those of an ordinary user. Root has all of them, other users have
// none. Kernel counterparts: struct cred in include/linux/cred.h, capable() in kernel/capability.c,
// include/uapi/linux/capability.h.

/** The capabilities that the model checks, with the kernel's numbers. */
export const Cap = {
  IPC_LOCK: 14,
  SYS_RAWIO: 17,
  SYS_ADMIN: 21,
  SYS_NICE: 23,
  SYS_RESOURCE: 24,
} as const;
export type Cap = (typeof Cap)[keyof typeof Cap];

/** CAP_CHECKPOINT_RESTORE. @see CAP_LAST_CAP */
const LAST_CAP = 40;
const ALL: bigint = (1n << BigInt(LAST_CAP + 1)) - 1n;

/** User id and capabilities of a process. @see struct cred */
export class Credentials {
  readonly uid: number;
  /** A bit per capability. @see cap_effective */
  readonly effective: bigint;

  /** @param uid 0 is root, with every capability; other users have none */
  constructor(uid = 0) {
    this.uid = uid;
    this.effective = uid === 0 ? ALL : 0n;
  }

  /** @see capable() */
  capable(capability: Cap): boolean {
    return ((this.effective >> BigInt(capability)) & 1n) === 1n;
  }
}

export const ROOT: Credentials = new Credentials();
