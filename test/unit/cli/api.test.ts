// Which repository an address means: a command that is meant for one never reaches another.
import { expect, test } from 'vitest'
import { apiUrl, repositoryUrl } from '../../../cli/api.ts'

test.each([
  ['https://pypi.example.org', ''],
  ['https://pypi.example.org/', ''],
  ['https://pypi.example.org/simple/', ''],
  ['https://pypi.example.org/r/staging', '/r/staging'],
  ['https://pypi.example.org/r/staging/', '/r/staging'],
  ['https://pypi.example.org/r/staging/simple/?a=b#c', '/r/staging'],
  ['https://user@pypi.example.org/r/a-1/legacy/', '/r/a-1'],
  ['https://pypi.example.org/%72/staging', ''],
])('%s', (text, base) => {
  expect(repositoryUrl(text)).toBe(`https://pypi.example.org${base}`)
  expect(apiUrl(text, '/api/status').href).toBe(`https://pypi.example.org${base}/api/status`)
})

test.each([
  '/r/main',
  '/r/main/simple/',
  '/r/Staging',
  '/r/',
  '/r/a.b',
  '/r/1',
  '/r/%73taging',
  `/r/${'a'.repeat(41)}`,
])('%s is no repository, and not main either', (path) => {
  expect(() => repositoryUrl(`https://pypi.example.org${path}`)).toThrow(/There is no repository at/)
})
