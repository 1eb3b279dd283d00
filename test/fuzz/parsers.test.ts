// Hostile input, at the parsers: whatever bytes come, each reader answers in time with its own kind of error or with
// what it read. Kept seeds and a random run of half a second each (FUZZ_SECONDS: longer); together below ten seconds.
import { describe, expect, test } from 'vitest'
import { fuzz, SECONDS } from './fuzz.ts'
import { OIDC_TARGETS } from './targets-oidc.ts'
import { PYPI_TARGETS } from './targets-pypi.ts'
import { SIGSTORE_TARGETS } from './targets-sigstore.ts'
import { TUF_TARGETS } from './targets-tuf.ts'

describe('hostile input to the parsers', () => {
  for (const target of [...PYPI_TARGETS, ...SIGSTORE_TARGETS, ...TUF_TARGETS, ...OIDC_TARGETS])
    test(`${target.name}: refused or read, in time`, { timeout: SECONDS * 1000 + 30_000 }, async () => {
      const { failures, executions } = await fuzz(target)
      expect(failures).toEqual([])
      expect(executions).toBeGreaterThan(20)
    })
})
