// The rules of Kconfig between the options that a machine file may name. Kernel counterparts: mm/Kconfig, drivers/dax/Kconfig,
// drivers/nvdimm/Kconfig.

export interface KconfigRule {
  readonly option: string;
  /** An option that must be set, too. */
  readonly needs?: string;
  /** An option that must not be set. */
  readonly forbids?: string;
  readonly reason: string;
}

export const KCONFIG_RULES: readonly KconfigRule[] = [
  {
    option: "DEFERRED_STRUCT_PAGE_INIT",
    forbids: "NEED_PER_CPU_KM",
    reason:
      "the per-cpu area built from kernel memory uses struct pages before the deferred ones are initialised",
  },
  {
    option: "DEFERRED_STRUCT_PAGE_INIT",
    needs: "SPARSEMEM",
    reason: "struct pages are deferred section by section",
  },
  {
    option: "DEFERRED_STRUCT_PAGE_INIT",
    needs: "64BIT",
    reason: "32-bit machines have too few pages to defer",
  },
  {
    option: "NEED_PER_CPU_KM",
    forbids: "SMP",
    reason: "per-cpu areas in kernel memory are for one CPU, or none with an MMU",
  },
  {
    option: "SPARSEMEM_VMEMMAP",
    needs: "SPARSEMEM",
    reason: "the virtual memmap is a way to lay out sparse sections",
  },
  { option: "MEMORY_HOTPLUG", needs: "SPARSEMEM", reason: "memory is added and removed by section" },
  {
    option: "MEMORY_HOTPLUG",
    needs: "ARCH_ENABLE_MEMORY_HOTPLUG",
    reason: "the architecture maps the added memory",
  },
  { option: "MEMORY_HOTPLUG", needs: "64BIT", reason: "32-bit kernels have no room to map added memory" },
  { option: "MEMORY_HOTREMOVE", needs: "MEMORY_HOTPLUG", reason: "what can't be added can't be removed" },
  {
    option: "MEMORY_HOTREMOVE",
    needs: "ARCH_ENABLE_MEMORY_HOTREMOVE",
    reason: "the architecture unmaps the removed memory",
  },
  {
    option: "MEMORY_HOTREMOVE",
    needs: "MIGRATION",
    reason: "a block goes offline by moving its pages elsewhere",
  },
  {
    option: "MEMORY_HOTPLUG_DEFAULT_ONLINE",
    needs: "MEMORY_HOTPLUG",
    reason: "it is the default for added blocks",
  },
  { option: "ARCH_MEMORY_PROBE", needs: "MEMORY_HOTPLUG", reason: "the probe file adds memory" },
  {
    option: "MHP_MEMMAP_ON_MEMORY",
    needs: "MEMORY_HOTPLUG",
    reason: "it places the struct pages of added memory",
  },
  {
    option: "MHP_MEMMAP_ON_MEMORY",
    needs: "SPARSEMEM_VMEMMAP",
    reason: "only a virtual memmap can be backed by any pages",
  },
  {
    option: "MHP_MEMMAP_ON_MEMORY",
    needs: "ARCH_MHP_MEMMAP_ON_MEMORY_ENABLE",
    reason: "the architecture maps the memmap first",
  },
  {
    option: "ZONE_DEVICE",
    needs: "MEMORY_HOTPLUG",
    reason: "device memory gets its struct pages as hotplugged memory does",
  },
  {
    option: "ZONE_DEVICE",
    needs: "MEMORY_HOTREMOVE",
    reason: "a driver that goes takes its struct pages along",
  },
  {
    option: "ZONE_DEVICE",
    needs: "SPARSEMEM_VMEMMAP",
    reason: "device pages need a memmap at any physical address",
  },
  {
    option: "ZONE_DEVICE",
    needs: "ARCH_HAS_PTE_DEVMAP",
    reason: "page tables must mark device pages, so that gup takes their pagemap",
  },
  {
    option: "DEVICE_PRIVATE",
    needs: "ZONE_DEVICE",
    reason: "private device memory is a type of ZONE_DEVICE memory",
  },
  {
    option: "DEVICE_PUBLIC",
    needs: "ZONE_DEVICE",
    reason: "public device memory is a type of ZONE_DEVICE memory",
  },
  { option: "HMM_MIRROR", needs: "MMU", reason: "a mirror is of page tables" },
  { option: "TEST_HMM", needs: "DEVICE_PRIVATE", reason: "the test device migrates pages to private memory" },
  { option: "TEST_HMM", needs: "TRANSPARENT_HUGEPAGE", reason: "the test device maps huge pages" },
  { option: "NVDIMM_PFN", needs: "ZONE_DEVICE", reason: "it gives persistent memory struct pages" },
  { option: "FS_DAX", needs: "ZONE_DEVICE", reason: "files map pages of the device itself" },
  { option: "DEV_DAX", needs: "TRANSPARENT_HUGEPAGE", reason: "device-dax maps huge pages" },
  { option: "DEV_DAX_KMEM", needs: "DEV_DAX", reason: "kmem is a driver of the dax bus" },
  { option: "DEV_DAX_KMEM", needs: "MEMORY_HOTPLUG", reason: "kmem adds the device's memory to the system" },
  { option: "DEV_DAX_HMEM", needs: "DEV_DAX", reason: "it makes dax devices of soft-reserved memory" },
  { option: "NVDIMM_DAX", needs: "NVDIMM_PFN", reason: "a device that is mapped raw has struct pages, too" },
  { option: "NUMA_BALANCING", needs: "NUMA", reason: "it moves pages between nodes" },
  { option: "MEMCG", needs: "CGROUPS", reason: "memory cgroups are a controller of cgroups" },
  { option: "MEMCG_KMEM", needs: "MEMCG", reason: "kernel memory is charged to memory cgroups" },
];
