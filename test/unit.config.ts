// `npm test`: the platform-free parts in Node, both Workers in workerd. No network, no account, no Python.
import { fileURLToPath } from 'node:url'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

const secrets = { WRAPPING_SECRET: 'w'.repeat(43), BOOTSTRAP_SECRET: 'b'.repeat(43) }

const MODEL = 'test/workerd/model.test.ts'

/**
 * One test worker that is face and publisher at once (test/workerd/worker.ts).
 * The configuration of the two real scripts is proved by test/unit/boundaries.test.ts and test/e2e.
 */
const workers = () =>
  cloudflareTest({
    main: './test/workerd/worker.ts',
    miniflare: {
      compatibilityDate: '2026-10-15',
      compatibilityFlags: ['no_nodejs_compat'],
      r2Buckets: ['BUCKET'],
      durableObjects: { PUBLISHER: { className: 'Publisher', useSQLite: true } },
      // MODEL: what `npm run test:model -- …` asked for.
      bindings: { ...secrets, FLIP_INTERVAL_MS: '0', MODEL: process.env.MODEL ?? '' },
    },
  })

/** What the clients of the model test work out once: test/workerd/model-memory.ts. */
const REMEMBERED = /^\.\/(root|timestamp|snapshot|targets|meta-file|verify|delegations)\.ts$/
const memory = {
  name: 'model-memory',
  enforce: 'pre' as const,
  resolveId: (source: string, importer = '') =>
    REMEMBERED.test(source) && /\/tuf\/(trusted|search)\.ts$/.test(importer)
      ? fileURLToPath(new URL('./workerd/model-memory.ts', import.meta.url))
      : undefined,
}

export default defineConfig({
  test: {
    maxWorkers: 2,
    // Whole processes and real clocks on a shared machine: CI gives a failed test one more try, people see it at once.
    projects: [
      {
        test: {
          name: 'node',
          // Hostile input: the kept seeds and a short random run (`npm run test:fuzz` is the long one).
          include: ['test/unit/**/*.test.ts', 'test/fuzz/**/*.test.ts'],
          environment: 'node',
          testTimeout: 90_000,
          retry: process.env.CI ? 1 : 0,
        },
      },
      {
        plugins: [workers()],
        test: {
          name: 'workerd',
          include: ['test/workerd/**/*.test.ts'],
          exclude: [MODEL],
          testTimeout: 90_000,
          retry: process.env.CI ? 1 : 0,
        },
      },
      { plugins: [memory, workers()], test: { name: 'model', include: [MODEL], retry: process.env.CI ? 1 : 0 } },
    ],
  },
})
