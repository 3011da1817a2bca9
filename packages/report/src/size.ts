// Shares and addresses for people. Sizes are formatBytes() of @hetmem/kernel.

/** "1.56 %". */
export function formatShare(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

/** "0x1_4000_0000": hexadecimal in groups of four, which makes the 4 GiB digit stand out. */
export function formatAddress(bytes: number): string {
  const hex = bytes.toString(16).padStart(8, "0");
  return `0x${hex.replace(/\B(?=(.{4})+$)/g, "_")}`;
}
