import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    globalSetup: ["src/tarballs.ts", "src/stranger.ts", "src/nodes.ts"],
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
