// `npm run test:fuzz -- --seconds N`: hostile input for N seconds a target (60 by default). The short form is part of `npm test`.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    name: 'fuzz',
    include: ['test/fuzz/**/*.test.ts'],
    environment: 'node',
    maxWorkers: 1,
    hookTimeout: 60_000,
  },
})
