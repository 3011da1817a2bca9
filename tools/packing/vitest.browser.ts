// `npm run test:browser`: tests that need a real browser.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["browser/*.browser.ts"],
    globalSetup: "src/tarballs.ts",
    // It shows why a test is skipped.
    reporters: ["verbose"],
    testTimeout: 150_000,
    hookTimeout: 120_000,
  },
});
