// Where an archive's metadata and the rest of it must say the same, for wheels and sdists alike. State: none.
import type { CoreMetadata } from './core-metadata.ts'
import type { EntryNames } from './entry-names.ts'
import type { DistributionFilename } from './filenames.ts'
import { normalizeName } from './names.ts'
import { Refusal, shown } from './refusal.ts'
import { normalizeVersion } from './versions.ts'

/** Refuses metadata about another project or version than the file name's, whatever their spelling. */
export function checkMetadataAgainstFilename(metadata: CoreMetadata, file: DistributionFilename, what: string): void {
  if (normalizeName(metadata.name) !== file.project)
    throw new Refusal(`${what} is about the project ${shown(metadata.name)}, but the file is ${shown(file.filename)}.`)
  if (normalizeVersion(metadata.version) !== file.version)
    throw new Refusal(`${what} is about version ${shown(metadata.version)}, but the file is ${shown(file.filename)}.`)
}

/** Refuses metadata 2.4 or later that names licence files the archive lacks under `folder` (PEP 639). */
export function checkLicenseFiles(metadata: CoreMetadata, names: EntryNames, folder: string, kind: string): void {
  // Before 2.4 setuptools wrote the field on its own, with the files elsewhere.
  const [major, minor] = metadata.metadataVersion.split('.').map(Number) as [number, number]
  if (major !== 2 || minor < 4) return
  const missing = metadata.licenseFiles.find((path) => !names.has(folder + path))
  if (missing !== undefined)
    throw new Refusal(`The ${kind} lacks the License-File ${shown(folder + missing)}: add it or drop the field.`)
}
