import { mergeConfig } from "vitest/config";
import shared from "../../vitest.shared.ts";

// Tests run the program that users run.
export default mergeConfig(shared, { test: { globalSetup: "src/built-program.ts" } });
