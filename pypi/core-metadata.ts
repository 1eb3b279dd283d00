// Core metadata (METADATA, PKG-INFO) as the index reads it: parsed whole, judged field by field.
// State: none. Invariant: what is returned is what `packaging` would read from the same bytes; optional fields that say
// UNKNOWN (old setuptools) are absent. Metadata-Version 1.0 to 1.2 and any 2.x are read, newer majors refused.
import { parseHeaderFile } from './headers.ts'
import { PROJECT_URL_LABEL_CHARS_MAX, SUMMARY_CHARS_MAX } from './limits.ts'
import { isValidName } from './names.ts'
import { Refusal, shown } from './refusal.ts'
import { isRequirement } from './requirement.ts'
import { isSpecifierSet } from './requires-python.ts'
import { normalizeVersion } from './versions.ts'

/** One file's core metadata. Lists are empty, not absent. */
export interface CoreMetadata {
  readonly metadataVersion: string
  /** As written; compare normalised. */
  readonly name: string
  /** As written; `normalizeVersion` accepts it. */
  readonly version: string
  readonly summary?: string
  readonly description?: string
  readonly descriptionContentType?: string
  readonly requiresPython?: string
  readonly keywords?: string
  readonly license?: string
  /** SPDX expression (PEP 639). */
  readonly licenseExpression?: string
  readonly licenseFiles: readonly string[]
  readonly classifiers: readonly string[]
  readonly requiresDist: readonly string[]
  readonly providesExtra: readonly string[]
  /** Label and address of each Project-URL. */
  readonly projectUrls: readonly (readonly [label: string, url: string])[]
  /** Names of dynamic fields, lower case (PEP 643). */
  readonly dynamic: readonly string[]
  /** Every field by its lower-case name, UNKNOWN ones dropped: Author, Home-page and whatever else a reader shows. */
  readonly fields: ReadonlyMap<string, readonly string[]>
  /** Sentences for the uploader about what is odd but accepted. */
  readonly warnings: readonly string[]
}

/** Newest minor of 2 whose fields are known here (core metadata specification, 2026-08). */
const KNOWN_MINOR = 6

// Fields that may be there once. All others are lists.
const SINGLE = new Set([
  ...['metadata-version', 'name', 'version', 'summary', 'description', 'description-content-type', 'keywords'],
  ...['home-page', 'download-url', 'author', 'author-email', 'maintainer', 'maintainer-email', 'license'],
  ...['license-expression', 'requires-python'],
])

const DESCRIPTION_TYPES = new Set(['text/plain', 'text/x-rst', 'text/markdown'])

/** Reads and judges the bytes of METADATA or PKG-INFO. `what` names the file in messages. */
export function parseCoreMetadata(bytes: Uint8Array, what = 'METADATA'): CoreMetadata {
  const file = parseHeaderFile(bytes, what)
  const fields = new Map<string, readonly string[]>()
  for (const [name, values] of file.fields) {
    if (SINGLE.has(name) && values.length > 1)
      throw new Refusal(`${what} has the field ${shown(name)} ${values.length} times: it may be there once.`)
    const known = values.filter((value) => value.trim() !== 'UNKNOWN' && value !== '')
    if (known.length > 0) fields.set(name, known)
  }
  const one = (name: string): string | undefined => fields.get(name)?.[0]
  const all = (name: string): readonly string[] => fields.get(name) ?? []

  const warnings: string[] = []
  const metadataVersion = checkMetadataVersion(one('metadata-version'), what, warnings)
  const [major, minor] = metadataVersion.split('.').map(Number) as [number, number]
  const since = (wanted: number): boolean => major === 2 && minor >= wanted

  const name = required(one('name'), 'Name', what)
  if (!isValidName(name))
    throw new Refusal(`${what} has the invalid Name ${shown(name)}: use ASCII letters, digits, '-'.`)
  const version = required(one('version'), 'Version', what)
  normalizeVersion(version)

  const summary = one('summary')
  if (summary !== undefined) checkSummary(summary, what)
  const requiresPython = one('requires-python')
  if (requiresPython !== undefined && !isSpecifierSet(requiresPython))
    throw new Refusal(
      `${what} has the invalid Requires-Python ${shown(requiresPython)}: write specifiers such as >=3.9.`,
    )
  const badRequirement = all('requires-dist').find((text) => !isRequirement(text))
  if (badRequirement !== undefined)
    throw new Refusal(`${what} has the invalid Requires-Dist ${shown(badRequirement)}: write it as PEP 508 describes.`)
  const badExtra = all('provides-extra').find((text) => !isValidName(text))
  if (badExtra !== undefined)
    throw new Refusal(
      `${what} has the invalid Provides-Extra ${shown(badExtra)}: use letters, digits, '-', '_' and '.'.`,
    )
  const contentType = one('description-content-type')
  if (contentType !== undefined) checkDescriptionType(contentType, what)
  const expression = one('license-expression')
  // Which SPDX identifiers exist changes every few months: the shape is checked, the names are not.
  if (expression !== undefined && !/^[A-Za-z0-9.+:()\- ]+$/.test(expression))
    throw new Refusal(`${what} has the invalid License-Expression ${shown(expression)}: write an SPDX expression.`)
  if (since(4)) for (const path of all('license-file')) checkLicensePath(path, what)
  const dynamic = all('dynamic').map((field) => field.toLowerCase())
  const fixed = dynamic.find((field) => ['name', 'version', 'metadata-version'].includes(field))
  if (fixed !== undefined) throw new Refusal(`${what} declares ${shown(fixed)} as Dynamic: that field may not be.`)

  const described = one('description') ?? (file.body?.trim() ? file.body : undefined)
  return {
    metadataVersion,
    name,
    version,
    licenseFiles: all('license-file'),
    classifiers: all('classifier'),
    requiresDist: all('requires-dist'),
    providesExtra: all('provides-extra'),
    projectUrls: all('project-url').map((text) => parseProjectUrl(text, what)),
    dynamic,
    fields,
    warnings,
    ...present({
      summary,
      description: described,
      descriptionContentType: contentType,
      requiresPython,
      keywords: one('keywords'),
      license: one('license'),
      licenseExpression: expression,
    }),
  }
}

/** The entries that are not undefined: absent fields are absent keys. */
function present<T extends Record<string, string | undefined>>(values: T): { [K in keyof T]?: string } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: string
  }
}

function required(value: string | undefined, field: string, what: string): string {
  if (value === undefined) throw new Refusal(`${what} has no ${field}: build the distribution again.`)
  return value
}

function checkMetadataVersion(value: string | undefined, what: string, warnings: string[]): string {
  const version = required(value, 'Metadata-Version', what)
  if (['1.0', '1.1', '1.2'].includes(version)) return version
  const found = /^2\.(\d{1,3})$/.exec(version)
  if (!found)
    throw new Refusal(`${what} has the Metadata-Version ${shown(version)}: this index reads 1.0 to 1.2 and 2.x.`)
  if (Number(found[1]) > KNOWN_MINOR)
    warnings.push(
      `Metadata-Version ${version} is newer than 2.${KNOWN_MINOR}: fields it adds are kept but not checked.`,
    )
  return version
}

function checkSummary(summary: string, what: string): void {
  if (/[\n\r]/.test(summary)) throw new Refusal(`${what} has a Summary of several lines: write it in one line.`)
  if ([...summary].length > SUMMARY_CHARS_MAX)
    throw new Refusal(`${what} has a Summary over ${SUMMARY_CHARS_MAX} characters: shorten it.`)
}

function checkDescriptionType(value: string, what: string): void {
  const [type = '', ...parameters] = value.split(';').map((part) => part.trim().toLowerCase())
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))
  if (DESCRIPTION_TYPES.has(type) && (charset === undefined || /^charset="?utf-8"?$/.test(charset))) return
  throw new Refusal(
    `${what} has the Description-Content-Type ${shown(value)}: use text/markdown, text/x-rst or text/plain in UTF-8.`,
  )
}

function checkLicensePath(path: string, what: string): void {
  const segments = path.split('/')
  if (!path.includes('\\') && !segments.some((part) => part === '' || part === '.' || part === '..')) return
  throw new Refusal(`${what} has the License-File ${shown(path)}: write a path inside the project, with '/'.`)
}

function parseProjectUrl(text: string, what: string): readonly [string, string] {
  const comma = text.indexOf(',')
  const label = text.slice(0, Math.max(comma, 0)).trim()
  const url = text.slice(comma + 1).trim()
  if (label === '' || [...label].length > PROJECT_URL_LABEL_CHARS_MAX)
    throw new Refusal(
      `${what} has the Project-URL ${shown(text)}: its label must have 1 to ${PROJECT_URL_LABEL_CHARS_MAX} characters.`,
    )
  // An address ends up in links that people click: nothing but the web.
  if (!/^https?:\/\/[^\s"<>]+$/i.test(url))
    throw new Refusal(`${what} has the Project-URL ${shown(text)}: its address must start with https:// or http://.`)
  return [label, url]
}
