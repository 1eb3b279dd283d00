// The packages of the demo: what their authors upload, and what must come out at the other end, byte for byte.
import { escapedName } from '../pypi/names.ts'
import { filePath } from './fetch.ts'
import { uploadFile } from './upload.ts'
import { type BuiltFile, buildWheel } from './wheel.ts'

export interface Release {
  project: string
  version: string
  filename: string
  bytes: Uint8Array
  /** Target path. */
  path: string
  /** The one module, and what it must say when it is imported. */
  module: string
  says: string
}

/** What installs and is attacked. Each attack has a project of its own, so that none profits from another's repair. */
export const PROJECTS = {
  greeting: 'demo-greeting',
  weather: 'demo-weather',
  notes: 'demo-notes',
  clock: 'demo-clock',
} as const

/** A wheel whose module has one constant that says which wheel it came from. */
export function makeRelease(project: string, version: string, says = `${project} ${version}`): Release {
  const module = escapedName(project)
  const { filename, bytes } = wheelOf(project, version, module, says)
  return { project, version, filename, bytes, path: filePath(project, filename), module, says }
}

function wheelOf(project: string, version: string, module: string, says: string): BuiltFile {
  return buildWheel({
    name: project,
    version,
    summary: 'A package of the tuf-edge demo',
    metadata: ['Requires-Python: >=3.8'],
    files: { [`${module}.py`]: moduleText(says) },
  })
}

export const moduleText = (says: string): string => `SAYS = ${JSON.stringify(says)}\n`

/** Uploads through `/legacy/`, as twine does. @throws ApiError; an Error if it is not visible at once */
export async function publish(base: string, token: string, release: Release): Promise<void> {
  const { project: name, version, filename, bytes } = release
  const status = await uploadFile({ base, token, name, version, filename, bytes })
  if (status !== 200) throw new Error(`The upload of ${filename} was answered ${status} instead of 200.`)
}
