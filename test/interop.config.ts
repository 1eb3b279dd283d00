// `npm run test:interop`: real clients, in their newest releases. The first run installs them (about a minute).
import { defineConfig } from 'vitest/config'
import { SkippedByName } from './interop/skipped.ts'

export default defineConfig({
  test: {
    name: 'interop',
    include: ['test/interop/**/*.test.ts'],
    exclude: ['test/interop/tough/**'],
    environment: 'node',
    // Clients, servers and installs share the machine: one file at a time, and time enough for all of it.
    fileParallelism: false,
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 600_000,
    reporters: ['default', new SkippedByName()],
  },
})
