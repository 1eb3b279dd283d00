// Names, versions and file names against what `packaging` says (vectors recorded from it) and what PEPs 427, 440, 503,
// 508, 625 and 783 write.
import { readFileSync } from 'node:fs'
import { compare as libraryCompare } from '@renovatebot/pep440'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  parseFilename,
  parseSdistFilename,
  parseWheelFilename,
  UnnormalisedNameError,
} from '../../../pypi/filenames.ts'
import {
  checkFilename,
  checkTargetPath,
  encodeSegment,
  isValidName,
  normalizeName,
  projectShard,
} from '../../../pypi/names.ts'
import { Refusal, shown } from '../../../pypi/refusal.ts'
import { isRequirement } from '../../../pypi/requirement.ts'
import { isSpecifierSet } from '../../../pypi/requires-python.ts'
import {
  compareVersions,
  formatVersion,
  isPrerelease,
  normalizeVersion,
  parseVersion,
  releaseKey,
  sortVersions,
} from '../../../pypi/versions.ts'

interface Vectors {
  versions: [string, string | null][]
  order: string[][]
  specifiers: [string, boolean][]
  requirements: [string, boolean][]
  names: [string, string][]
}
const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/packages/packaging.json', import.meta.url), 'utf8'),
) as Vectors

describe('versions', () => {
  it('are normalised, or refused, exactly as packaging does', () => {
    for (const [text, normal] of vectors.versions) {
      const version = parseVersion(text)
      expect([text, version && formatVersion(version)]).toEqual([text, normal])
    }
    expect(() => normalizeVersion('french toast')).toThrow(
      "'french toast' is not a valid version: use one as PEP 440 describes, such as 1.2.3.",
    )
  })

  it('have the order of packaging, and equal ones are equal', () => {
    const flat = vectors.order.flatMap((group, rank) => group.map((text) => ({ text, rank })))
    for (const a of flat)
      for (const b of flat) expect(Math.sign(compareVersions(a.text, b.text))).toBe(Math.sign(a.rank - b.rank))
    const shuffled = flat.map(({ text }) => text).toSorted()
    const rankOf = new Map(flat.map(({ text, rank }) => [text, rank]))
    const ranks = sortVersions(shuffled).map((text) => rankOf.get(text)!)
    expect(ranks).toEqual(ranks.toSorted((a, b) => a - b))
  })

  it('agree with another implementation where that one is exact', () => {
    const number = fc.nat(30).map(String)
    const part = fc.oneof(
      fc.constant(''),
      number.map((n) => `a${n}`),
      number.map((n) => `rc${n}`),
    )
    const optional = (name: string) => fc.option(number).map((n) => (n === null ? '' : `.${name}${n}`))
    const version = fc
      .tuple(fc.array(number, { minLength: 1, maxLength: 4 }), part, optional('post'), optional('dev'))
      .map(([release, pre, post, dev]) => release.join('.') + pre + post + dev)
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(Math.sign(compareVersions(a, b))).toBe(Math.sign(libraryCompare(a, b)))
        expect(normalizeVersion(normalizeVersion(a))).toBe(normalizeVersion(a))
      }),
      { numRuns: 2_000 },
    )
  })

  it('have one key exactly when they are equal', () => {
    const keys = vectors.order.map((group) => new Set(group.map(releaseKey)))
    expect(keys.every((group) => group.size === 1)).toBe(true)
    expect(new Set(keys.flatMap((group) => [...group])).size).toBe(vectors.order.length)
    expect(['0.0', '1.0.0', '1.10', '1.0.0a1+l.0'].map(releaseKey)).toEqual(['0', '1', '1.10', '1a1+l.0'])
  })

  it('know pre-releases', () => {
    expect(['1.0a1', '1.0rc1', '1.0.dev1', '1.0.post1.dev2'].map(isPrerelease)).toEqual([true, true, true, true])
    expect(['1.0', '1.0.post1', '1.0+local'].map(isPrerelease)).toEqual([false, false, false])
  })

  it('take no time on long texts', () => {
    for (const text of [
      '1'.repeat(100_000),
      `${'1.'.repeat(50_000)}x`,
      `1.0${'-'.repeat(100_000)}`,
      '1.0+'.repeat(90_000),
    ])
      expect(parseVersion(text)).toBeNull()
  })
})

describe('specifiers and requirements', () => {
  it('are taken exactly when packaging takes them', () => {
    for (const [text, valid] of vectors.specifiers) expect([text, isSpecifierSet(text)]).toEqual([text, valid])
    for (const [text, valid] of vectors.requirements) expect([text, isRequirement(text)]).toEqual([text, valid])
  })
})

describe('project names', () => {
  it('are normalised as packaging does', () => {
    for (const [name, normal] of vectors.names) expect(normalizeName(name)).toBe(normal)
  })

  it('are ASCII letters, digits and inner separators', () => {
    expect(['a', 'A1', 'zope.interface', 'a--b', '0'].every(isValidName)).toBe(true)
    for (const bad of ['', '-a', 'a-', '_', 'ä', 'a b', 'a/b', 'a\n', '\u212aelvin', 'a\u017f', '..', 'a\0'])
      expect([bad, isValidName(bad)]).toEqual([bad, false])
  })

  it('have the shard of their normalised form', async () => {
    // printf %s demo-pkg | sha256sum | head -c 4
    expect(await projectShard('demo-pkg')).toBe('28b7')
  })
})

describe('file names', () => {
  it('that cannot be stored or linked are refused with a sentence', () => {
    const table: [string, RegExp][] = [
      ['', /has no name/],
      ['a\nb.whl', /control characters/],
      ['a\x7f.whl', /control characters/],
      ['a/b.whl', /must not contain/],
      ['a\\b.whl', /must not contain/],
      ['..', /start with a dot/],
      ['.a.whl', /start with a dot/],
      ['a.whl.metadata', /must not end in '\.metadata'/],
      ['a.whl.ASC', /must not end in '\.asc'/],
      ['a.provenance', /must not end in '\.provenance'/],
      [`${'a'.repeat(187)}.whl`, /too long: the limit is 190 bytes/],
      ['a\ud800.whl', /not valid Unicode/],
    ]
    for (const [name, sentence] of table) expect(() => checkFilename(name)).toThrow(sentence)
    checkFilename(`${'a'.repeat(186)}.whl`)
  })

  it('are counted with their project and percent-encoding', () => {
    // files%2F0000%2F{project}%2F{file}: 18 bytes besides the two.
    checkTargetPath('p'.repeat(80), 'f'.repeat(157))
    expect(() => checkTargetPath('p'.repeat(80), 'f'.repeat(158))).toThrow(/together 1 bytes too long/)
    expect(() => checkTargetPath('p'.repeat(80), `${'f'.repeat(156)}!`)).toThrow(/together 2 bytes too long/)
    expect(encodeSegment("a+1!(x)*'.whl")).toBe('a%2B1%21%28x%29%2A%27.whl')
  })

  it('of wheels are read', () => {
    expect(parseWheelFilename('foo_bar-1.0+local.1-2b-py2.py3-none-any.whl')).toEqual({
      kind: 'bdist_wheel',
      filename: 'foo_bar-1.0+local.1-2b-py2.py3-none-any.whl',
      project: 'foo-bar',
      version: '1.0+local.1',
      build: '2b',
      python: ['py2', 'py3'],
      abi: ['none'],
      platform: ['any'],
      distInfo: 'foo_bar-1.0+local.1.dist-info',
    })
  })

  it('of sdists are read', () => {
    expect(parseFilename('foo_bar-1!2.0rc1.tar.gz')).toEqual({
      kind: 'sdist',
      filename: 'foo_bar-1!2.0rc1.tar.gz',
      project: 'foo-bar',
      version: '1!2.0rc1',
      topDirectory: 'foo_bar-1!2.0rc1',
    })
  })

  it('that are not normalised are refused with the expected name', () => {
    const table: [string, string][] = [
      ['Foo_Bar-1.0-py3-none-any.whl', 'foo_bar-1.0-py3-none-any.whl'],
      ['foo.bar-1.0-py3-none-any.whl', 'foo_bar-1.0-py3-none-any.whl'],
      ['foo_bar-1.0.RC1-5-py3-none-any.whl', 'foo_bar-1.0rc1-5-py3-none-any.whl'],
      ['Flask-2.0.0.tar.gz', 'flask-2.0.0.tar.gz'],
      ['foo-bar-1.0.tar.gz', 'foo_bar-1.0.tar.gz'],
      ['foo__bar-1.0.tar.gz', 'foo_bar-1.0.tar.gz'],
      ['foo_bar-01.0.tar.gz', 'foo_bar-1.0.tar.gz'],
    ]
    for (const [name, expected] of table) {
      const error = (() => {
        try {
          return parseFilename(name)
        } catch (thrown) {
          return thrown
        }
      })()
      expect(error).toBeInstanceOf(UnnormalisedNameError)
      expect(error).toMatchObject({ expected, status: 400 })
      expect((error as Error).message).toContain(`should be '${expected}'`)
      parseFilename(expected)
    }
  })

  it('of the wrong shape are refused', () => {
    const table: [string, RegExp][] = [
      ['foo-1.0-py3-none.whl', /is not a wheel's/],
      ['foo-1.0-1-py3-none-any-x.whl', /is not a wheel's/],
      ['foo-1.0-b1-py3-none-any.whl', /build tag 'b1'/],
      ['foo-1.0-py3-no ne-any.whl', /tag 'no ne'/],
      ['foo-1.0-py3--any.whl', /tag ''/],
      ['foo-bad-py3-none-any.whl', /not a valid version/],
      ['_foo-1.0-py3-none-any.whl', /no valid project name/],
      ['foo-1.0.tar.gz.whl', /is not a wheel's/],
      ['foo.tar.gz', /is not an sdist's/],
      ['-1.0.tar.gz', /is not an sdist's/],
      ['foo-1.0.zip', /extension this index does not take/],
      ['foo-1.0.tar.bz2', /extension this index does not take/],
      ['foo-1.0-py3.11.egg', /extension this index does not take/],
      ['foo-1.0.tgz', /extension this index does not take/],
    ]
    for (const [name, sentence] of table) expect(() => parseFilename(name), name).toThrow(sentence)
    expect(() => parseSdistFilename('foo-1.0.zip')).toThrow(Refusal)
  })

  it('have platforms that PyPI takes', () => {
    const good =
      'any win32 win_amd64 win_arm64 linux_armv7l manylinux1_x86_64 manylinux2014_aarch64 manylinux_2_28_x86_64 ' +
      'musllinux_1_2_aarch64 macosx_10_9_universal2 macosx_11_0_arm64 macosx_15_0_arm64 macosx_26_0_arm64 ' +
      'ios_13_0_arm64_iphoneos ios_13_0_x86_64_iphonesimulator android_21_arm64_v8a pyemscripten_2026_0_wasm32 ' +
      'manylinux_2_17_x86_64.manylinux2014_x86_64'
    for (const tag of good.split(' ')) parseWheelFilename(`foo-1.0-cp312-cp312-${tag}.whl`)
    const bad =
      'linux_x86_64 macosx_26_1_arm64 macosx_16_0_arm64 manylinux_2_28_sparc win_ia64 any.linux_x86_64 freebsd'
    for (const tag of bad.split(' '))
      expect(() => parseWheelFilename(`foo-1.0-cp312-cp312-${tag}.whl`), tag).toThrow(/is not portable: repair it/)
  })
})

it('messages show foreign text harmlessly', () => {
  expect(shown('a\u001b[31m\u202eb')).toBe("'a\\u{1b}[31m\\u{202e}b'")
  expect(shown('x'.repeat(1_000)).length).toBe(103)
})
