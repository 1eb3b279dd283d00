// The fields of an upload form: what they may hold, and that they are about the file.
import { describe, expect, it } from 'vitest'
import { parseFilename } from '../../../pypi/filenames.ts'
import type { Refusal } from '../../../pypi/refusal.ts'
import { checkFieldsAgainstFilename, checkUploadFields } from '../../../pypi/upload-form.ts'

const HEX = 'ab'.repeat(32)

describe('the fields', () => {
  const base = {
    ':action': 'file_upload',
    name: 'Demo.Pkg',
    version: '1.0',
    filetype: 'bdist_wheel',
    pyversion: 'py3',
    sha256_digest: HEX,
  }
  const checked = (over: Record<string, string | undefined>) =>
    checkUploadFields(
      new Map(Object.entries({ ...base, ...over }).filter((e): e is [string, string] => e[1] !== undefined)),
    )

  it('are taken as uploaders send them', () => {
    expect(
      checked({ sha256_digest: HEX.toUpperCase(), protocol_version: '1', metadata_version: '2.3', md5_digest: 'x' }),
    ).toEqual({
      name: 'Demo.Pkg',
      version: '1.0',
      filetype: 'bdist_wheel',
      pyversion: 'py3',
      sha256: HEX,
      metadataVersion: '2.3',
    })
  })

  const refused: [Record<string, string | undefined>, RegExp, number?][] = [
    [{ sha256_digest: undefined }, /has no 'sha256_digest': this index stores only files/],
    [{ sha256_digest: undefined, blake2_256_digest: HEX }, /only a BLAKE2 or MD5 digest/],
    [{ sha256_digest: undefined, md5_digest: HEX }, /only a BLAKE2 or MD5 digest/],
    [{ sha256_digest: 'abc' }, /must be 64 hexadecimal digits/],
    [{ name: undefined }, /has no 'name'/],
    [{ name: '-' }, /project name '-' is invalid/],
    [{ version: 'x' }, /not a valid version/],
    [{ filetype: 'bdist_egg' }, /'bdist_egg' is not taken/],
    [{ pyversion: undefined }, /has no 'pyversion'/],
    [{ filetype: 'sdist' }, /must be 'source'/],
    [{ protocol_version: '2' }, /Unknown protocol version/],
    [{ ':action': 'submit' }, /'submit' is gone/, 410],
  ]
  for (const [over, sentence, status = 400] of refused)
    it(`are refused: ${JSON.stringify(over)}`, () => {
      expect(() => checked(over)).toThrow(sentence)
      try {
        checked(over)
      } catch (error) {
        expect((error as Refusal).status).toBe(status)
      }
    })

  it('must be about the file, in whatever spelling', () => {
    const file = parseFilename('demo_pkg-1.0-py3-none-any.whl')
    checkFieldsAgainstFilename(checked({ name: 'demo-PKG', version: 'v1.0' }), file)
    expect(() => checkFieldsAgainstFilename(checked({ name: 'demo' }), file)).toThrow(
      /its metadata says 'demo': it was renamed/,
    )
    expect(() => checkFieldsAgainstFilename(checked({ version: '1.0.0' }), file)).toThrow(/its metadata says '1\.0\.0'/)
    expect(() => checkFieldsAgainstFilename(checked({ filetype: 'sdist', pyversion: 'source' }), file)).toThrow(
      /says 'sdist'/,
    )
  })
})
