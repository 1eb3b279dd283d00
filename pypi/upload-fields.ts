// What the fields of the legacy upload form mean (Warehouse's form, section by section in the PyPI upload API).
// State: none. Fields are hints of the uploader: only the digest is relied on, and the bytes prove it.
import type { DistributionFilename } from './filenames.ts'
import { isValidName, normalizeName } from './names.ts'
import { UPLOAD_TIME } from './page.ts'
import { Refusal, shown } from './refusal.ts'
import { normalizeVersion } from './versions.ts'

/** Values of the fields that are read, by name. A field that says UNKNOWN or nothing is absent. */
export type FormFields = ReadonlyMap<string, string>

/**
 * The fields that are kept. Everything else (description, classifiers, …) is counted and dropped while it arrives:
 * core metadata is read from the archive, and BLAKE2 and MD5 digests are never computed.
 */
export const KEPT_FIELDS: ReadonlySet<string> = new Set([
  ...[':action', 'protocol_version', 'name', 'version', 'filetype', 'pyversion', 'metadata_version'],
  ...['sha256_digest', 'blake2_256_digest', 'md5_digest', 'attestations', 'upload_time', 'yanked'],
])

/** The same, of a form without the file. */
export const DESCRIBED_FIELDS: ReadonlySet<string> = new Set([...KEPT_FIELDS, 'filename'])

/** The fields of one upload, checked. */
export interface UploadFields {
  /** As sent. */
  readonly name: string
  /** As sent; a valid version. */
  readonly version: string
  readonly filetype: 'bdist_wheel' | 'sdist'
  /** Python tag; `source` for sdists. */
  readonly pyversion: string
  /** 64 lower-case hex digits that the bytes must have. */
  readonly sha256: string
  readonly metadataVersion?: string
  /** PEP 740 attestations as sent, not verified. */
  readonly attestations?: string
  /** What another index said of the file (`tuf-edge import`); no build tool sends it. */
  readonly imported?: {
    /** Unix milliseconds. */
    readonly uploaded?: number
    /** The reason of a yank; empty: without one. */
    readonly yanked?: string
  }
}

function need(fields: FormFields, name: string): string {
  const value = fields.get(name)
  if (value === undefined) throw new Refusal(`The upload form has no '${name}': upload with twine, uv or a build tool.`)
  return value
}

/** Refuses forms for anything but the upload of a file. Known as soon as its fields are, before the file. */
export function checkAction(fields: FormFields): void {
  const action = need(fields, ':action')
  if (action !== 'file_upload')
    throw new Refusal(`The action ${shown(action)} is gone: this index only takes 'file_upload'.`, 410)
  const protocol = fields.get('protocol_version')
  if (protocol !== undefined && protocol !== '1') throw new Refusal('Unknown protocol version.')
}

/** The declared digest, or undefined if it has not arrived. Refuses a malformed one. */
export function declaredSha256(fields: FormFields): string | undefined {
  const sha256 = fields.get('sha256_digest')?.toLowerCase()
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256))
    throw new Refusal(`The field 'sha256_digest' is ${shown(sha256)}: it must be 64 hexadecimal digits.`)
  return sha256
}

/** Checks a whole form. Refuses one that lacks what an upload needs. */
export function checkUploadFields(fields: FormFields): UploadFields {
  checkAction(fields)
  const name = need(fields, 'name')
  if (!isValidName(name))
    throw new Refusal(`The project name ${shown(name)} is invalid: use ASCII letters, digits, '-'.`)
  const version = need(fields, 'version')
  normalizeVersion(version)
  const filetype = need(fields, 'filetype')
  if (filetype !== 'bdist_wheel' && filetype !== 'sdist')
    throw new Refusal(
      `The file type ${shown(filetype)} is not taken: upload wheels ('bdist_wheel') and sdists ('sdist').`,
    )
  const pyversion = fields.get('pyversion') ?? (filetype === 'sdist' ? 'source' : need(fields, 'pyversion'))
  if (filetype === 'sdist' && pyversion !== 'source')
    throw new Refusal(`The field 'pyversion' of an sdist is ${shown(pyversion)}: it must be 'source'.`)
  const sha256 = declaredSha256(fields)
  if (sha256 === undefined) {
    const other = fields.has('blake2_256_digest') || fields.has('md5_digest')
    throw new Refusal(
      other
        ? "The upload declares only a BLAKE2 or MD5 digest, which this index never computes: send 'sha256_digest'."
        : "The upload form has no 'sha256_digest': this index stores only files whose SHA-256 was declared.",
    )
  }
  const metadataVersion = fields.get('metadata_version')
  const attestations = fields.get('attestations')
  return {
    name,
    version,
    filetype,
    pyversion,
    sha256,
    ...(metadataVersion === undefined ? {} : { metadataVersion }),
    ...(attestations === undefined ? {} : { attestations }),
    ...importedFields(fields),
  }
}

/** PEP 700's `upload-time` and PEP 592's `yanked` as JSON pages write them; `true` is a yank without a reason. */
function importedFields(fields: FormFields): Pick<UploadFields, 'imported'> {
  const [time, yanked] = [fields.get('upload_time'), fields.get('yanked')]
  if (time === undefined && yanked === undefined) return {}
  const uploaded = time === undefined ? undefined : Date.parse(time)
  if (time !== undefined && !(UPLOAD_TIME.test(time) && Number.isFinite(uploaded)))
    throw new Refusal(`The field 'upload_time' is ${shown(time)}: it must be like 2026-01-31T12:00:00Z.`)
  return {
    imported: {
      ...(uploaded === undefined ? {} : { uploaded }),
      ...(yanked === undefined ? {} : { yanked: yanked === 'true' ? '' : yanked }),
    },
  }
}

/** Refuses a form whose name, version or type is not the file name's, whatever their spelling. */
export function checkFieldsAgainstFilename(fields: UploadFields, file: DistributionFilename): void {
  if (fields.filetype !== file.kind)
    throw new Refusal(`The form says ${shown(fields.filetype)}, but ${shown(file.filename)} is a ${file.kind}.`)
  if (normalizeName(fields.name) !== file.project) throw disagree(file, 'project', file.project, fields.name)
  if (normalizeVersion(fields.version) !== file.version) throw disagree(file, 'version', file.version, fields.version)
}

/** Uploaders take the form's fields from the metadata in the file, so to people these two are what disagrees. */
const disagree = ({ filename }: DistributionFilename, what: string, named: string, said: string): Refusal =>
  new Refusal(
    `${shown(filename)} is named as ${what} ${shown(named)}, but its metadata says ${shown(said)}: it was renamed, or built from something else. Build it again, and upload it under the name that the build gave it.`,
  )
