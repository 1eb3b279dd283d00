// `npm run test:tough`: the Rust client and tuftool, apart from the others because its first build takes minutes.
import { defineConfig } from 'vitest/config'
import { SkippedByName } from './interop/skipped.ts'

export default defineConfig({
  test: {
    name: 'tough',
    include: ['test/interop/tough/**/*.test.ts'],
    environment: 'node',
    fileParallelism: false,
    maxWorkers: 1,
    // Whole processes and real clocks on a shared machine: CI gives a failed test one more try, people see it at once.
    retry: process.env.CI ? 1 : 0,
    testTimeout: 240_000,
    hookTimeout: 600_000,
    reporters: ['default', new SkippedByName()],
  },
})
