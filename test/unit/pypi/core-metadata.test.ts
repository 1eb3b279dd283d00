// METADATA and PKG-INFO: what is read, and every refusal with its sentence.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseCoreMetadata } from '../../../pypi/core-metadata.ts'
import { checkEntryPoints } from '../../../pypi/entry-points.ts'
import { Refusal } from '../../../pypi/refusal.ts'
import { bytesOf } from './build.ts'

const read = (text: string) => parseCoreMetadata(bytesOf(text))
const BASE = 'Metadata-Version: 2.4\nName: Demo.Pkg\nVersion: 1.0\n'

describe('core metadata', () => {
  it('is read with every field and the body', () => {
    const metadata = read(
      [
        'Metadata-Version: 2.4',
        'Name: Demo.Pkg',
        'Version: 1.0-rc.1',
        'Summary: Größe zählt: immer',
        'Author: Somebody',
        'Requires-Python: >=3.9',
        'Requires-Dist: requests>=2; python_version > "3"',
        'Requires-Dist: rich[jupyter]',
        'Provides-Extra: dev',
        'Project-URL: Home Page, https://example.org/?a=b,c',
        'Classifier: Programming Language :: Python',
        'License-Expression: MIT OR (Apache-2.0 WITH LLVM-exception)',
        'License-File: LICENSES/MIT.txt',
        'Dynamic: License-File',
        'Keywords: a,b',
        'Description-Content-Type: text/markdown; charset=UTF-8; variant=GFM',
        'License: some text',
        '        continued',
        'X-Unknown: kept',
        '',
        '# Title',
        '',
        'Text: not a field',
        '',
      ].join('\r\n'),
    )
    expect(metadata).toMatchObject({
      metadataVersion: '2.4',
      name: 'Demo.Pkg',
      version: '1.0-rc.1',
      summary: 'Größe zählt: immer',
      requiresPython: '>=3.9',
      requiresDist: ['requests>=2; python_version > "3"', 'rich[jupyter]'],
      providesExtra: ['dev'],
      projectUrls: [['Home Page', 'https://example.org/?a=b,c']],
      classifiers: ['Programming Language :: Python'],
      licenseExpression: 'MIT OR (Apache-2.0 WITH LLVM-exception)',
      licenseFiles: ['LICENSES/MIT.txt'],
      dynamic: ['license-file'],
      keywords: 'a,b',
      descriptionContentType: 'text/markdown; charset=UTF-8; variant=GFM',
      license: 'some text\n        continued',
      description: '# Title\r\n\r\nText: not a field\r\n',
      warnings: [],
    })
    expect(metadata.fields.get('author')).toEqual(['Somebody'])
    expect(metadata.fields.get('x-unknown')).toEqual(['kept'])
  })

  it('drops what old setuptools did not know', () => {
    const metadata = read(
      'Metadata-Version: 1.0\nName: a\nVersion: 1\nSummary: UNKNOWN\nHome-page: UNKNOWN\nLicense:\n',
    )
    expect(metadata.summary).toBeUndefined()
    expect([...metadata.fields.keys()]).toEqual(['metadata-version', 'name', 'version'])
    expect(metadata).not.toHaveProperty('description')
  })

  it('takes 1.0 to 1.2 and every 2.x, with a note on minors it does not know', () => {
    for (const version of ['1.0', '1.1', '1.2', '2.0', '2.1', '2.2', '2.3', '2.4', '2.5', '2.6'])
      expect(read(BASE.replace('2.4', version)).warnings).toEqual([])
    expect(read(BASE.replace('2.4', '2.7')).warnings).toEqual([
      'Metadata-Version 2.7 is newer than 2.6: fields it adds are kept but not checked.',
    ])
    for (const version of ['3.0', '1.3', '0.9', '2', '2.x', '2.1.0', '-1'])
      expect(() => read(BASE.replace('2.4', version))).toThrow(/this index reads 1\.0 to 1\.2 and 2\.x/)
  })

  const refused: [string, string, RegExp][] = [
    ['no Metadata-Version', 'Name: a\nVersion: 1\n', /has no Metadata-Version/],
    ['no Name', 'Metadata-Version: 2.1\nVersion: 1\n', /has no Name/],
    ['no Version', 'Metadata-Version: 2.1\nName: a\n', /has no Version/],
    ['UNKNOWN name', 'Metadata-Version: 2.1\nName: UNKNOWN\nVersion: 1\n', /has no Name/],
    ['bad name', 'Metadata-Version: 2.1\nName: -a\nVersion: 1\n', /invalid Name '-a'/],
    ['bad version', 'Metadata-Version: 2.1\nName: a\nVersion: one\n', /'one' is not a valid version/],
    ['two names', `${BASE}Name: other\n`, /has the field 'name' 2 times/],
    ['two names in other case', `${BASE}NAME: other\n`, /has the field 'name' 2 times/],
    ['long summary', `${BASE}Summary: ${'x'.repeat(513)}\n`, /Summary over 512 characters/],
    ['folded summary', `${BASE}Summary: a\n  b\n`, /Summary of several lines/],
    ['bad Requires-Python', `${BASE}Requires-Python: 3.9\n`, /invalid Requires-Python '3\.9'/],
    ['bad Requires-Dist', `${BASE}Requires-Dist: a b\n`, /invalid Requires-Dist 'a b'/],
    ['bad extra', `${BASE}Provides-Extra: a b\n`, /invalid Provides-Extra 'a b'/],
    ['no label', `${BASE}Project-URL: https://x.org\n`, /its label must have 1 to 32 characters/],
    ['long label', `${BASE}Project-URL: ${'l'.repeat(33)}, https://x.org\n`, /its label must have 1 to 32/],
    ['script address', `${BASE}Project-URL: Home, javascript:alert(1)\n`, /must start with https:/],
    ['bad description type', `${BASE}Description-Content-Type: text/html\n`, /use text\/markdown/],
    ['bad charset', `${BASE}Description-Content-Type: text/markdown; charset=latin1\n`, /in UTF-8/],
    ['bad licence', `${BASE}License-Expression: MIT; rm -rf\n`, /write an SPDX expression/],
    ['licence path up', `${BASE}License-File: ../x\n`, /write a path inside the project/],
    ['absolute licence path', `${BASE}License-File: /x\n`, /write a path inside the project/],
    ['licence backslash', `${BASE}License-File: a\\b\n`, /write a path inside the project/],
    ['dynamic name', `${BASE}Dynamic: Name\n`, /declares 'name' as Dynamic/],
    ['a line that is no field', `${BASE}oops\nRequires-Dist: a\n`, /neither a field nor a continuation: 'oops'/],
    ['a leading continuation', ` x\n${BASE}`, /begins with a continuation line/],
    ['a NUL', `${BASE}Summary: a\0b\n`, /has a NUL character/],
    ['nothing', '', /has no Metadata-Version/],
  ]
  for (const [what, text, sentence] of refused)
    it(`is refused with ${what}`, () => {
      expect(() => read(text)).toThrow(sentence)
      expect(() => read(text)).toThrow(Refusal)
    })

  it('is refused if it is not UTF-8', () => {
    expect(() => parseCoreMetadata(new Uint8Array([0x4e, 0xff]))).toThrow(/not valid UTF-8/)
  })

  it('summary of 512 characters is taken, counted as characters', () => {
    expect(read(`${BASE}Summary: ${'😀'.repeat(512)}\n`).summary).toHaveLength(1024)
  })

  it('at any bytes gives a result or a refusal, quickly', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom('Name: a', 'Version: 1', 'Metadata-Version: 2.1', '', ' x', 'a: b'),
    )
    fc.assert(
      fc.property(
        fc.array(line).map((lines) => lines.join('\n')),
        (text) => {
          try {
            read(text)
          } catch (error) {
            expect(error).toBeInstanceOf(Refusal)
          }
        },
      ),
      { numRuns: 500 },
    )
    const start = performance.now()
    for (const text of [
      `${BASE}Requires-Dist: a${' '.repeat(1e6)}x`,
      `${BASE}${'a:\n'.repeat(3e5)}`,
      `${BASE}A: ${'; '.repeat(1e6)}`,
    ])
      try {
        read(text)
      } catch (error) {
        expect(error).toBeInstanceOf(Refusal)
      }
    expect(performance.now() - start).toBeLessThan(5_000)
  })
})

describe('entry points', () => {
  const check = (text: string) => checkEntryPoints(bytesOf(text), 'entry_points.txt')

  it('are taken as Python reads them', () => {
    check(
      '# comment\n[console_scripts]\ndemo = demo_pkg.cli:main.run\nold=a:b [extra]\n\n; c\n[my.group]\nx = anything goes\n  folded\n',
    )
    check('')
  })

  const refused: [string, RegExp][] = [
    ['demo = a:b\n', /malformed line/],
    ['[console_scripts]\ndemo\n', /malformed line 'demo'/],
    ['[console_scripts]\n= a:b\n', /malformed line/],
    ['[console_scripts]\n../../bin/sh = a:b\n', /must not be a path/],
    ['[gui_scripts]\nC:x = a:b\n', /must not be a path/],
    ['[console_scripts]\nx = a b\n', /write it as 'module:object'/],
    ['[console_scripts]\nx =\n', /write it as 'module:object'/],
    ['[a]\n[a]\n', /group 'a' twice/],
    ['[a]\nx = b\nx = c\n', /name 'x' twice/],
  ]
  for (const [text, sentence] of refused)
    it(`are refused: ${JSON.stringify(text)}`, () => {
      expect(() => check(text)).toThrow(sentence)
    })
})
