// `npm run test:interop`: real clients, in their newest releases. The first run installs them (about a minute).
import { defineConfig } from 'vitest/config'
import { SkippedByName } from './interop/skipped.ts'

export default defineConfig({
  test: {
    name: 'interop',
    include: ['test/interop/**/*.test.ts'],
    exclude: ['test/interop/tough/**'],
    environment: 'node',
    // Clients, servers and installs share the machine: two tests at a time are two cores' worth. Each file has servers,
    // ports and folders of its own.
    maxWorkers: 2,
    // Whole processes and real clocks on a shared machine: CI gives a failed test one more try, people see it at once.
    retry: process.env.CI ? 1 : 0,
    maxConcurrency: 1,
    testTimeout: 240_000,
    hookTimeout: 600_000,
    reporters: ['default', new SkippedByName()],
  },
})
