// Pages, read by other code than the one that wrote them: JSON by the specification's words, HTML by a small tokenizer.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  PageError,
  type PageFile,
  type ProjectPage,
  parseProjectJson,
  provenancePath,
  renderListHtml,
  renderListJson,
  renderProjectHtml,
  renderProjectJson,
} from '../../../pypi/simple.ts'
import { bytesOf } from './build.ts'

const HEX = 'ab'.repeat(32)
const OTHER = 'cd'.repeat(32)

const wheel: PageFile = {
  filename: 'demo_pkg-1.0+l-py3-none-any.whl',
  sha256: HEX,
  size: 1234,
  uploadTime: '2026-11-24T10:00:00.123Z',
  requiresPython: '>=3.9,<4',
  coreMetadataSha256: OTHER,
  yanked: false,
}
const sdist: PageFile = {
  filename: 'demo_pkg-1.0.tar.gz',
  sha256: OTHER,
  size: 0,
  uploadTime: '2026-11-24T10:00:00Z',
  yanked: 'broken "quotes" & <tags>',
}
const page: ProjectPage = {
  project: 'demo-pkg',
  shard: '0a1b',
  versions: ['1.0+l', '1.0', '1.0'],
  files: [sdist, wheel],
}

const ENTITIES: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" }
function unescapeHtml(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity]!)
}

function attributes(tag: string): Record<string, string> {
  return Object.fromEntries([...tag.matchAll(/([a-z-]+)="([^"]*)"/g)].map((m) => [m[1]!, unescapeHtml(m[2]!)]))
}

/** Anchors and metas of a page; hatch's expression must find the same anchors. */
function readHtml(html: string): { links: { text: string; attributes: Record<string, string> }[]; metas: object } {
  expect(html.startsWith('<!DOCTYPE html>\n')).toBe(true)
  const links = [...html.matchAll(/<a ([^>]*)>([^<]*)<\/a>/g)].map((m) => ({
    text: unescapeHtml(m[2]!),
    attributes: attributes(m[1]!),
  }))
  expect([...html.matchAll(/<a [^>]+>([^<]+)<\/a>/g)].map((m) => unescapeHtml(m[1]!))).toEqual(
    links.map(({ text }) => text),
  )
  const metas = Object.fromEntries(
    [...html.matchAll(/<meta name="([^"]*)" content="([^"]*)">/g)].map((m) => [m[1]!, unescapeHtml(m[2]!)]),
  )
  return { links, metas }
}

describe('a project page', () => {
  it('as JSON says what API 1.4 asks, and no more', () => {
    expect(renderProjectJson(page)).toBe(
      JSON.stringify({
        meta: { 'api-version': '1.4' },
        name: 'demo-pkg',
        versions: ['1.0', '1.0+l'],
        files: [
          {
            filename: 'demo_pkg-1.0+l-py3-none-any.whl',
            url: '../../files/0a1b/demo-pkg/demo_pkg-1.0%2Bl-py3-none-any.whl',
            hashes: { sha256: HEX },
            size: 1234,
            'upload-time': '2026-11-24T10:00:00.123Z',
            'requires-python': '>=3.9,<4',
            'core-metadata': { sha256: OTHER },
            yanked: false,
          },
          {
            filename: 'demo_pkg-1.0.tar.gz',
            url: '../../files/0a1b/demo-pkg/demo_pkg-1.0.tar.gz',
            hashes: { sha256: OTHER },
            size: 0,
            'upload-time': '2026-11-24T10:00:00Z',
            yanked: 'broken "quotes" & <tags>',
          },
        ],
      }),
    )
    // pip 22.3 to 23.1 crash on it; uv fails the page on null.
    expect(renderProjectJson(page)).not.toMatch(/dist-info-metadata|null/)
  })

  it('as HTML says the same', () => {
    const { links, metas } = readHtml(renderProjectHtml(page))
    expect(metas).toEqual({ 'pypi:repository-version': '1.4' })
    expect(links).toEqual([
      {
        text: 'demo_pkg-1.0+l-py3-none-any.whl',
        attributes: {
          href: `../../files/0a1b/demo-pkg/demo_pkg-1.0%2Bl-py3-none-any.whl#sha256=${HEX}`,
          'data-requires-python': '>=3.9,<4',
          'data-dist-info-metadata': `sha256=${OTHER}`,
          'data-core-metadata': `sha256=${OTHER}`,
        },
      },
      {
        text: 'demo_pkg-1.0.tar.gz',
        attributes: {
          href: `../../files/0a1b/demo-pkg/demo_pkg-1.0.tar.gz#sha256=${OTHER}`,
          'data-yanked': 'broken "quotes" & <tags>',
        },
      },
    ])
    expect(renderProjectHtml(page)).toContain('data-requires-python="&gt;=3.9,&lt;4"')
  })

  it('links to the files of its project when resolved against its own URL', () => {
    const base = 'https://index.example/r/team/simple/demo-pkg/'
    const { files } = JSON.parse(renderProjectJson(page)) as { files: { url: string }[] }
    expect(files.map(({ url }) => new URL(url, base).href)).toEqual([
      'https://index.example/r/team/files/0a1b/demo-pkg/demo_pkg-1.0%2Bl-py3-none-any.whl',
      'https://index.example/r/team/files/0a1b/demo-pkg/demo_pkg-1.0.tar.gz',
    ])
  })

  it('says that a file is yanked with and without a reason', () => {
    const yanked = {
      ...page,
      files: [
        { ...wheel, yanked: true },
        { ...sdist, yanked: '' },
      ],
    }
    expect(renderProjectJson(yanked).match(/"yanked":true/g)).toHaveLength(2)
    expect(renderProjectHtml(yanked).match(/ data-yanked=""/g)).toHaveLength(2)
  })

  it('says where the provenance of a file is, with its host, in both forms, and reads it again with its digest', () => {
    const url = `https://pypi.example.org${provenancePath({ project: 'demo-pkg', version: '1.0+l', filename: wheel.filename })}`
    expect(url).toBe('https://pypi.example.org/integrity/demo-pkg/1.0%2Bl/demo_pkg-1.0%2Bl-py3-none-any.whl/provenance')
    const attested = { ...page, files: [{ ...wheel, provenance: { url, sha256: HEX } }, sdist] }
    const [json, other] = (JSON.parse(renderProjectJson(attested)) as { files: object[] }).files
    expect(json).toMatchObject({ provenance: url, '_provenance-sha256': HEX })
    expect(other).not.toHaveProperty('provenance')
    expect(readHtml(renderProjectHtml(attested)).links.map((link) => link.attributes['data-provenance'])).toEqual([
      url,
      undefined,
    ])
    expect(parseProjectJson(bytesOf(renderProjectJson(attested)), 'demo-pkg', '0a1b').files).toEqual(attested.files)
    for (const provenance of [
      { url: '/integrity/x', sha256: HEX },
      { url: 'javascript:alert(1)', sha256: HEX },
      { url: 'https://user@host/x', sha256: HEX },
      { url, sha256: 'x' },
    ])
      expect(() => renderProjectJson({ ...page, files: [{ ...wheel, provenance }] })).toThrow(TypeError)
  })

  it('has a status, and offers nothing in quarantine', () => {
    const archived = { ...page, status: 'archived', statusReason: 'moved to <x>' } as const
    expect(JSON.parse(renderProjectJson(archived))).toMatchObject({
      'project-status': { status: 'archived', reason: 'moved to <x>' },
      files: [{}, {}],
    })
    expect(readHtml(renderProjectHtml(archived)).metas).toEqual({
      'pypi:repository-version': '1.4',
      'pypi:project-status': 'archived',
      'pypi:project-status-reason': 'moved to <x>',
    })
    const quarantined = { ...page, status: 'quarantined' } as const
    expect(JSON.parse(renderProjectJson(quarantined))).toMatchObject({
      'project-status': { status: 'quarantined' },
      files: [],
      versions: ['1.0', '1.0+l'],
    })
    expect(readHtml(renderProjectHtml(quarantined)).links).toEqual([])
    expect(renderProjectJson({ ...page, status: 'active' })).toBe(renderProjectJson(page))
  })

  it('is never rendered with a value that clients fail on', () => {
    const bad: Partial<PageFile>[] = [
      { uploadTime: '2026-11-24T10:00:00+00:00' },
      { uploadTime: '2026-11-24T10:00:00.1234567Z' },
      { sha256: HEX.toUpperCase() },
      { size: Number.NaN },
      { size: 1.5 },
      { size: -1 },
      { coreMetadataSha256: 'x' },
      { filename: '' },
    ]
    for (const wrong of bad) {
      expect(() => renderProjectJson({ ...page, files: [{ ...wheel, ...wrong }] })).toThrow(TypeError)
      expect(() => renderProjectHtml({ ...page, files: [{ ...wheel, ...wrong }] })).toThrow(TypeError)
    }
    expect(() => renderProjectJson({ ...page, files: [wheel, wheel] })).toThrow(/is there twice/)
  })

  const files = fc.uniqueArray(
    fc.record({
      filename: fc
        .string({ minLength: 1, maxLength: 30, unit: 'grapheme' })
        .filter((name) => !/[/\\]|^\.\.?$/.test(name)),
      sha256: fc.constant(HEX),
      size: fc.maxSafeNat(),
      uploadTime: fc
        .date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })
        .map((d) => d.toISOString()),
      yanked: fc.oneof(fc.boolean(), fc.string({ minLength: 1 })),
    }),
    { selector: ({ filename }) => filename, maxLength: 8 },
  )

  it('has the same bytes in whatever order it is given, and reads back', () => {
    fc.assert(
      fc.property(files, fc.nat(), (list, seed) => {
        const shuffled = list.toSorted((a, b) => ((a.size * 31 + seed) % 7) - ((b.size * 31 + seed) % 7))
        const json = renderProjectJson({ ...page, files: list })
        expect(renderProjectJson({ ...page, files: shuffled, versions: page.versions.toReversed() })).toBe(json)
        expect(renderProjectHtml({ ...page, files: shuffled })).toBe(renderProjectHtml({ ...page, files: list }))
        const read = parseProjectJson(bytesOf(json), 'demo-pkg', '0a1b')
        expect(renderProjectJson(read)).toBe(json)
        expect(read.files).toHaveLength(list.length)
        expect(readHtml(renderProjectHtml(read)).links.map(({ text }) => text)).toEqual(
          read.files.map(({ filename }) => filename),
        )
      }),
    )
  })
})

describe('a serial', () => {
  it('makes pages that say the same differ, and changes nothing that clients read', () => {
    const [first, second] = [1, 2].map((serial) => renderProjectJson({ ...page, serial }))
    expect(first).not.toBe(second)
    const { meta, ...rest } = JSON.parse(first!) as { meta: object }
    expect(meta).toEqual({ '_last-serial': 1, 'api-version': '1.4' })
    expect({ ...rest, meta: { 'api-version': '1.4' } }).toEqual(JSON.parse(renderProjectJson(page)))
    expect(parseProjectJson(new TextEncoder().encode(first), 'demo-pkg', '0a1b').files).toHaveLength(2)
    const html = renderProjectHtml({ ...page, serial: 7 })
    expect(html.endsWith('</html>\n<!--SERIAL 7-->\n')).toBe(true)
    expect(readHtml(html)).toEqual(readHtml(renderProjectHtml(page)))
    expect(JSON.parse(renderListJson(['a'], 3))).toMatchObject({ meta: { '_last-serial': 3 } })
    expect(renderListHtml(['a'], 3)).toContain('<!--SERIAL 3-->')
  })
})

describe('the project list', () => {
  it('is sorted and without repetition in both forms', () => {
    expect(renderListJson(['b', 'a', 'b'])).toBe(
      '{"meta":{"api-version":"1.4"},"projects":[{"name":"a"},{"name":"b"}]}',
    )
    const { links, metas } = readHtml(renderListHtml(['b', 'a', 'b']))
    expect(links).toEqual([
      { text: 'a', attributes: { href: 'a/' } },
      { text: 'b', attributes: { href: 'b/' } },
    ])
    expect(metas).toEqual({ 'pypi:repository-version': '1.4' })
    expect(JSON.parse(renderListJson([]))).toEqual({ meta: { 'api-version': '1.4' }, projects: [] })
  })
})

describe('the reader', () => {
  const read = (value: unknown) => parseProjectJson(bytesOf(JSON.stringify(value)), 'demo-pkg', '0a1b')
  interface Loose {
    meta: Record<string, unknown>
    files: Record<string, unknown>[]
    [key: string]: unknown
  }
  const good = (): Loose => JSON.parse(renderProjectJson(page)) as Loose

  it('gives what was rendered', () => {
    expect(read(good())).toEqual({ ...page, versions: ['1.0', '1.0+l'], files: [wheel, sdist] })
    const archived = { ...page, status: 'archived', statusReason: 'old' } as const
    expect(parseProjectJson(bytesOf(renderProjectJson(archived)), 'demo-pkg', '0a1b')).toMatchObject({
      status: 'archived',
      statusReason: 'old',
    })
  })

  it('ignores what later minor versions add, and nulls where the specification allows them', () => {
    const later = good()
    later.meta['api-version'] = '1.9'
    later.news = []
    later.files[0] = { ...later.files[0], 'requires-python': null, 'core-metadata': null, provenance: null }
    expect(read(later).files[0]).toEqual({ ...wheel, requiresPython: undefined, coreMetadataSha256: undefined })
  })

  const change: [string, (value: Loose) => void][] = [
    ['another project', (p) => Object.assign(p, { name: 'other' })],
    ['a new major', (p) => Object.assign(p.meta, { 'api-version': '2.0' })],
    ['no version', (p) => Object.assign(p, { meta: {} })],
    ['no files', (p) => Object.assign(p, { files: undefined })],
    ['a file twice', (p) => p.files.push(p.files[0]!)],
    ['an unknown status', (p) => Object.assign(p, { 'project-status': { status: 'lost' } })],
    ['versions that are no texts', (p) => Object.assign(p, { versions: [1] })],
    ['a null size', (p) => Object.assign(p.files[0]!, { size: null })],
    ['no upload time', (p) => Object.assign(p.files[0]!, { 'upload-time': undefined })],
    ['no hash', (p) => Object.assign(p.files[0]!, { hashes: { md5: 'x' } })],
    ['a null yanked', (p) => Object.assign(p.files[0]!, { yanked: 7 })],
    ['a provenance that is no text', (p) => Object.assign(p.files[0]!, { provenance: 1 })],
    ['a bad provenance', (p) => Object.assign(p.files[0]!, { provenance: 'ftp://x/y', '_provenance-sha256': HEX })],
    ['a bad core-metadata', (p) => Object.assign(p.files[0]!, { 'core-metadata': { sha256: 'no' } })],
  ]
  for (const [what, edit] of change)
    it(`refuses ${what}`, () => {
      const value = good()
      edit(value)
      expect(() => read(value)).toThrow(PageError)
    })

  const links = [
    'https://evil.example/demo_pkg-1.0.tar.gz',
    '//evil.example/demo_pkg-1.0.tar.gz',
    '/files/0a1b/demo-pkg/demo_pkg-1.0.tar.gz',
    '../../files/0a1b/other/demo_pkg-1.0.tar.gz',
    '../../files/ffff/demo-pkg/demo_pkg-1.0.tar.gz',
    '../../files/0a1b/demo-pkg/../other/demo_pkg-1.0.tar.gz',
    '../../files/0a1b/demo-pkg/%2e%2e/demo_pkg-1.0.tar.gz',
    '../../files/0a1b/demo-pkg/x%2Fdemo_pkg-1.0.tar.gz',
    '../../files/0a1b/demo-pkg/demo_pkg-1.0.tar.gz?x=1',
    '../../files/0a1b/demo-pkg/demo_pkg-1.0.tar.gz#sha256=00',
    '../../files/0a1b/demo-pkg/demo_pkg-1.1.tar.gz',
    '../../files/0a1b/demo-pkg/%ff',
  ]
  for (const url of links)
    it(`follows no link to ${url}`, () => {
      const value = good()
      value.files[1]!.url = url
      expect(() => read(value)).toThrow(/does not lead to files\/0a1b\/demo-pkg\//)
    })

  it('throws PageError, and nothing else, at any bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map(bytesOf)), (bytes) => {
        expect(() => parseProjectJson(bytes, 'demo-pkg', '0a1b')).toThrow(PageError)
      }),
    )
  })
})
