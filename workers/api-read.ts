// The API's reading half: projects, releases, files, as the present publication names them. State: none. Open to whoever
// may read the index. Bucket reads: 1 warm (the timestamp); cold those of `publication.ts` and 1 for the page or the list.

import { parseFilename } from '../pypi/filenames.ts'
import { encodeSegment } from '../pypi/names.ts'
import type { PageFile } from '../pypi/page.ts'
import { baseOf } from '../tuf/layout.ts'
import { answer } from './api-json.ts'
import type { Env } from './env.ts'
import { NotFound } from './errors.ts'
import { type AnyOperation, operation } from './operations.ts'
import { findRelease, isYanked, type ProjectData, readNames, readProject } from './project-data.ts'
import type { Reader } from './reader.ts'
import { either, flag, given, integer, list, maybe, projectName, releaseName, text } from './shapes.ts'

/** Names of one page of the list: of ≤ 60 bytes each, 60 kB. */
const PROJECTS_MAX = 1_000
const PROJECTS_DEFAULT = 100

const NAME = text(200)
const FILE = given({
  filename: text(255),
  version: NAME,
  size: integer(0),
  sha256: text(64),
  uploaded: text(40),
  requiresPython: maybe(text(500)),
  yanked: either(flag, text(500)),
  url: text(1_000),
})
const RELEASE = { version: NAME, files: integer(0), bytes: integer(0), yanked: flag, uploaded: text(40) }
const LIST = given({ projects: list(NAME), next: maybe(NAME) }).schema
const PROJECT = given({
  name: NAME,
  status: text(20),
  reason: maybe(text(500)),
  serial: integer(0),
  files: integer(0),
  versions: list(NAME),
}).schema

const found = (schema: typeof LIST) => ({ 200: { description: 'As the present publication has it.', schema } })
const project = { project: projectName }
const release = { project: projectName, version: releaseName }

const fileOf = (repository: string, { shard, project: of }: ProjectData['page'], file: PageFile) => ({
  filename: file.filename,
  version: parseFilename(file.filename).version,
  size: file.size,
  sha256: file.sha256,
  uploaded: file.uploadTime,
  ...(file.requiresPython === undefined ? {} : { requiresPython: file.requiresPython }),
  yanked: file.yanked,
  url: `${baseOf(repository)}/files/${shard}/${of}/${encodeSegment(file.filename)}`,
})

const releaseOf = ({ version, files }: ProjectData['releases'][number]) => ({
  version,
  files: files.length,
  bytes: files.reduce((sum, { size }) => sum + size, 0),
  yanked: isYanked(files),
  uploaded: files.map(({ uploadTime }) => uploadTime).sort()[0]!,
})

export function readOperations(reader: Reader): AnyOperation[] {
  const read = async (env: Env, name: string): Promise<ProjectData> => {
    const data = await readProject(env, reader, await reader.current(env), name)
    if (!data) throw new NotFound(`There is no project '${name}'.`)
    return data
  }
  const get = { method: 'GET', query: {}, refusals: [404] } as const

  return [
    operation({
      ...get,
      id: 'listProjects',
      path: '/api/projects',
      summary: 'Names of the projects, in order; `next` goes into the next call as `after`. May lag by a minute.',
      params: {},
      query: { after: maybe(projectName), limit: maybe(integer(1, PROJECTS_MAX)) },
      answers: found(LIST),
      refusals: [],
      run: async ({ env, query: { after = '', limit = PROJECTS_DEFAULT } }) => {
        const names = (await readNames(env, reader, await reader.current(env))).filter((name) => name > after)
        const projects = names.slice(0, limit)
        return answer({ ok: true, projects, ...(names.length > limit ? { next: projects.at(-1) } : {}) })
      },
    }),
    operation({
      ...get,
      id: 'getProject',
      path: '/api/projects/{project}',
      summary: 'One project: its status (PEP 792), its versions, newest first.',
      params: project,
      answers: found(PROJECT),
      run: async ({ env, path }) => {
        const { page, serial, releases } = await read(env, path.project)
        return answer({
          ok: true,
          name: page.project,
          status: page.status ?? 'active',
          ...(page.statusReason === undefined ? {} : { reason: page.statusReason }),
          serial,
          files: page.files.length,
          versions: releases.map(({ version }) => version),
        })
      },
    }),
    operation({
      ...get,
      id: 'listReleases',
      path: '/api/projects/{project}/releases',
      summary: 'Releases of a project, newest first.',
      params: project,
      answers: found(given({ releases: list(given(RELEASE)) }).schema),
      run: async ({ env, path }) => {
        const { releases } = await read(env, path.project)
        return answer({ ok: true, releases: releases.map(releaseOf) })
      },
    }),
    operation({
      ...get,
      id: 'getRelease',
      path: '/api/projects/{project}/releases/{version}',
      summary: 'One release with its files.',
      params: release,
      answers: found(given({ ...RELEASE, files: list(FILE) }).schema),
      run: async ({ env, path }) => {
        const { page, releases } = await read(env, path.project)
        const one = findRelease(releases, path.version)
        if (!one) throw new NotFound(`Project '${path.project}' has no such release.`)
        return answer({
          ok: true,
          ...releaseOf(one),
          files: one.files.map((file) => fileOf(reader.repository, page, file)),
        })
      },
    }),
    operation({
      ...get,
      id: 'listFiles',
      path: '/api/projects/{project}/files',
      summary: 'Files of a project, by name.',
      params: project,
      answers: found(given({ files: list(FILE) }).schema),
      run: async ({ env, path }) => {
        const { page } = await read(env, path.project)
        return answer({ ok: true, files: page.files.map((file) => fileOf(reader.repository, page, file)) })
      },
    }),
    operation({
      ...get,
      id: 'getFile',
      path: '/api/projects/{project}/files/{filename}',
      summary: 'One file.',
      params: { project: projectName, filename: text(255) },
      answers: found(FILE.schema),
      run: async ({ env, path }) => {
        const { page } = await read(env, path.project)
        const file = page.files.find(({ filename }) => filename === path.filename)
        if (!file) throw new NotFound(`Project '${path.project}' has no file '${path.filename}'.`)
        return answer({ ok: true, ...fileOf(reader.repository, page, file) })
      },
    }),
  ]
}
