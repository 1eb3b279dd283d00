// `npm run test:import`: an import of 3,000 files, killed and resumed; three minutes on two cores. Node alone, no network.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: { include: ['test/import/**/*.test.ts'], environment: 'node', hookTimeout: 120_000 },
})
