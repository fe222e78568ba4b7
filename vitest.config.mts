import { defineConfig } from "vitest/config";

// The rings of design 5: from nothing but this repository (pure) to a real `pulumi up` (e2e).
const ring = (name: string, options: { readonly seconds: number; readonly setup?: readonly string[] }) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: options.seconds * 1000,
    hookTimeout: options.seconds * 1000,
    setupFiles: [...(options.setup ?? [])],
    // A cluster and a stack of its own wait more than they work. What runs by night is timed, and wants the machine for itself.
    fileParallelism: name !== "nightly",
  },
});

export default defineConfig({
  test: {
    // The live ring waits for servers more than it computes; vitest's own choice on two cores is one worker.
    maxWorkers: "100%",
    projects: [
      ring("pure", { seconds: 30 }),
      ring("components", { seconds: 30, setup: ["test/support/mocks.ts"] }),
      ring("live", { seconds: 120 }),
      ring("docker", { seconds: 600, setup: ["test/support/mocks.ts"] }),
      ring("e2e", { seconds: 1200 }),
      ring("nightly", { seconds: 3600, setup: ["test/support/mocks.ts"] }),
    ],
  },
});
