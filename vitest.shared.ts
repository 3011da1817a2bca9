// Options of every package's tests: packages are resolved to their sources, so no build is needed first.
import { defaultServerConditions } from "vite";
import { defineConfig, type TestUserConfig } from "vitest/config";

export const testOptions: TestUserConfig = {
  include: ["test/**/*.test.ts"],
  environment: "node",
  // No package has state of its own, so that test files may share what they import: half of their time goes there.
  isolate: false,
  testTimeout: 60_000,
};

export default defineConfig({
  ssr: { resolve: { conditions: ["@hetmem/source", ...defaultServerConditions] } },
  test: testOptions,
});
