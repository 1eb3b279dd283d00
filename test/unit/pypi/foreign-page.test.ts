// Simple pages of other indexes: what PyPI, devpi, pypiserver and Artifactory write, in both forms.
import { describe, expect, test } from 'vitest'
import { ForeignPageError, readForeignList, readForeignPage } from '../../../pypi/foreign-page.ts'

const SHA = 'a'.repeat(64)
const HTML = 'text/html; charset=utf-8'
const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'

describe('a project page', () => {
  test('of devpi: links that climb, digests behind #', () => {
    const html = `<!DOCTYPE html><html><body><h1>team/stable: links for demo</h1>
<a href="../../+f/aaa/1234/demo-1.0-py3-none-any.whl#sha256=${SHA}" data-requires-python="&gt;=3.9">demo-1.0-py3-none-any.whl</a><br>
<a href="../../+f/bbb/1234/demo-0.9.tar.gz#md5=D41D8CD98F00B204E9800998ECF8427E" data-yanked="">demo-0.9.tar.gz</a><br></body>`
    expect(readForeignPage(html, HTML, 'https://devpi.example.org/team/stable/+simple/demo/')).toEqual([
      {
        filename: 'demo-1.0-py3-none-any.whl',
        url: 'https://devpi.example.org/team/stable/+f/aaa/1234/demo-1.0-py3-none-any.whl',
        hashes: new Map([['sha256', SHA]]),
      },
      {
        filename: 'demo-0.9.tar.gz',
        url: 'https://devpi.example.org/team/stable/+f/bbb/1234/demo-0.9.tar.gz',
        hashes: new Map([['md5', 'd41d8cd98f00b204e9800998ecf8427e']]),
        yanked: true,
      },
    ])
  })

  test('with a bare > in an attribute, single quotes, a comment, an escaped name and a reason', () => {
    const html = `<!-- <a href="old.whl">old</a> -->
<A data-requires-python=">=3.6,<4" HREF='https://files.example.org/x%2B1/demo-1.0%2Blocal.1-py3-none-any.whl'
   data-yanked='broken &amp; &#x27;bad&#39; &lt;3'>demo-1.0+local.1-py3-none-any.whl</A>`
    expect(readForeignPage(html, HTML, 'https://x.example.org/simple/demo/')).toEqual([
      {
        filename: 'demo-1.0+local.1-py3-none-any.whl',
        url: 'https://files.example.org/x%2B1/demo-1.0%2Blocal.1-py3-none-any.whl',
        hashes: new Map(),
        yanked: "broken & 'bad' <3",
      },
    ])
  })

  test('in JSON: digests, date, yank with and without a reason, relative address', () => {
    const files = [
      {
        filename: 'demo-1.0.tar.gz',
        url: '../../files/demo-1.0.tar.gz#sha256=x',
        hashes: { sha256: SHA.toUpperCase(), blake2b: 'b' },
        'upload-time': '2020-01-02T03:04:05.678901Z',
        yanked: 'why',
      },
      { filename: 'demo-2.0.tar.gz', url: 'https://cdn.example.org/demo-2.0.tar.gz', hashes: {}, yanked: true },
      { filename: 'demo-3.0.tar.gz', url: 'https://cdn.example.org/demo-3.0.tar.gz', yanked: false },
      { filename: 'demo-4.0.tar.gz', url: 'https://cdn.example.org/demo-4.0.tar.gz' },
      { filename: 'demo-5.0.tar.gz', url: 'https://cdn.example.org/demo-5.0.tar.gz', yanked: '' },
    ]
    const text = JSON.stringify({ meta: { 'api-version': '1.1' }, name: 'demo', files })
    expect(readForeignPage(text, JSON_TYPE, 'https://x.example.org/simple/demo/')).toEqual([
      {
        filename: 'demo-1.0.tar.gz',
        url: 'https://x.example.org/files/demo-1.0.tar.gz',
        hashes: new Map([
          ['sha256', SHA],
          ['blake2b', 'b'],
        ]),
        uploadTime: '2020-01-02T03:04:05.678901Z',
        yanked: 'why',
      },
      { filename: 'demo-2.0.tar.gz', url: 'https://cdn.example.org/demo-2.0.tar.gz', hashes: new Map(), yanked: true },
      { filename: 'demo-3.0.tar.gz', url: 'https://cdn.example.org/demo-3.0.tar.gz', hashes: new Map(), yanked: false },
      { filename: 'demo-4.0.tar.gz', url: 'https://cdn.example.org/demo-4.0.tar.gz', hashes: new Map() },
      { filename: 'demo-5.0.tar.gz', url: 'https://cdn.example.org/demo-5.0.tar.gz', hashes: new Map(), yanked: true },
    ])
  })

  test.for(['', '[]', 'null', '{"files":{}}', '{"files":[{"url":"x"}]}', '{"files":[null]}', '<html>'])(
    'that is no page: %s',
    (text) => {
      expect(() => readForeignPage(text, JSON_TYPE, 'https://x.example.org/')).toThrow(ForeignPageError)
    },
  )
})

test('a list, in both forms, with and without a slash at its end', () => {
  const html = '<a href="demo/">demo</a> <a href="/elsewhere/Other_One/">Other_One</a> <a>no address</a>'
  expect(readForeignList(html, HTML, 'https://x.example.org/simple')).toEqual(
    new Map([
      ['demo', 'https://x.example.org/simple/demo/'],
      ['Other_One', 'https://x.example.org/elsewhere/Other_One/'],
    ]),
  )
  const json = JSON.stringify({ meta: {}, projects: [{ name: 'demo' }, { name: 'a b' }, {}] })
  expect(readForeignList(json, JSON_TYPE, 'https://x.example.org/simple/')).toEqual(
    new Map([
      ['demo', 'https://x.example.org/simple/demo/'],
      ['a b', 'https://x.example.org/simple/a%20b/'],
    ]),
  )
})

test.for(['<a href="', '<a x=', '<!--', '<a href="x"', "<a '", '<a href= '])(
  'a page of 400 kB of %s costs no more than its length',
  { timeout: 5_000 },
  (piece) => {
    const page = piece.repeat(400_000 / piece.length)
    expect(() => readForeignPage(page, HTML, 'https://x.example.org/')).not.toThrow()
  },
)
