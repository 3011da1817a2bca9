// The bytes of a snapshot: the access that a device would have to a page, and where the page is. Kernel counterpart:
// HMM_DMIRROR_PROT_* in lib/test_hmm_uapi.h.

/** Bits of a snapshot's byte. @see HMM_DMIRROR_PROT_* */
export const DmirrorProt = {
  error: 0xff,
  none: 0x00,
  read: 0x01,
  write: 0x02,
  /** Mapped by a 2 MiB entry; by a 1 GiB entry. */
  pmd: 0x04,
  pud: 0x08,
  zero: 0x10,
  /** In private memory of this device; of another device. */
  devPrivateLocal: 0x20,
  devPrivateRemote: 0x30,
  devCoherentLocal: 0x40,
  devCoherentRemote: 0x50,
} as const;
