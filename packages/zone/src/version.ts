// The version of this package, written by `npm run release:version`. A program holds one version of each package.
import { onlyVersion } from "@hetmem/kernel";

onlyVersion("@hetmem/zone", "0.1.0");
