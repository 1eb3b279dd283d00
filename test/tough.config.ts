// `npm run test:tough`: the Rust client, apart from the others because its first build takes minutes.
import { defineConfig } from 'vitest/config'
import { SkippedByName } from './interop/skipped.ts'

export default defineConfig({
  test: {
    name: 'tough',
    include: ['test/interop/tough/**/*.test.ts'],
    environment: 'node',
    fileParallelism: false,
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 600_000,
    reporters: ['default', new SkippedByName()],
  },
})
