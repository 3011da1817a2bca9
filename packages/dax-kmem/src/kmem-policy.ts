// Differences between releases in hotplugging a dax device as RAM. The profile of a machine chooses one policy.

export interface KmemPolicy {
  /**
   * Name of the memory in /proc/iomem, by which kexec distinguishes driver-managed memory from firmware-listed
   * memory.
   */
  readonly resourceName: string;
  /** Whether unbinding the driver removes the memory. */
  readonly hotremove: boolean;
  /** Whether a device's blocks form one memory group for the auto-movable ratio. */
  readonly memoryGroup: boolean;
}

/** 5.1 and 5.2: added memory stays until the next boot. @see c221c0b0308f */
export const kmemAddOnly: KmemPolicy = {
  resourceName: "System RAM",
  hotremove: false,
  memoryGroup: false,
};
/** 5.3 to 5.7. @see 9f960da72b25 */
export const kmemHotremove: KmemPolicy = { ...kmemAddOnly, hotremove: true };
/** 5.8 to 5.14: the memory has a name of its own. @see add_memory_driver_managed() in mm/memory_hotplug.c */
export const kmemDriverManaged: KmemPolicy = { ...kmemHotremove, resourceName: "System RAM (kmem)" };
/** Since 5.15. @see eedf634aac3b */
export const kmemGrouped: KmemPolicy = { ...kmemDriverManaged, memoryGroup: true };
