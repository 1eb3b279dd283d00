// `npm run test:e2e`: whole processes, as a person starts and kills them. Node alone; no Python, no network.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    environment: 'node',
    maxWorkers: 1,
    // Whole processes and real clocks on a shared machine: CI gives a failed test one more try, people see it at once.
    retry: process.env.CI ? 1 : 0,
    testTimeout: 240_000,
    hookTimeout: 120_000,
  },
})
