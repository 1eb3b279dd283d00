// The operators' API, projects: yank, delete, purge, status. State: none. Who may do what is decided by the publisher in
// the transaction of the change; 202 means accepted, and visible in a moment.
import type { RemoveRequest } from '../durable-objects/rpc-projects.ts'
import type { Env } from './env.ts'
import { type AnyOperation, changed, operation } from './operations.ts'
import { flag, given, integer, maybe, projectName, releaseName, text, word } from './shapes.ts'

const REASON_LENGTH_MAX = 500
const project = { project: projectName }
const file = { project: projectName, filename: text(255) }
const release = { project: projectName, version: releaseName }
const reason = { reason: maybe(text(REASON_LENGTH_MAX)) }

const VISIBLE = given({ visible: flag }).schema
const REMOVED = given({ visible: flag, files: integer(0) }).schema
const PURGED = given({ visible: flag, files: integer(0), erased: integer(0) }).schema
const answers = (schema: typeof VISIBLE) => ({
  200: { description: 'Done, and visible in every answer from now on.', schema },
  202: { description: 'Accepted and durable; visible in a moment.', schema },
})

type Target = Pick<RemoveRequest, 'project' | 'filename' | 'release'>

/** Three sizes of the same thing. */
const SIZES = [
  { name: 'File', path: '/api/projects/{project}/files/{filename}', params: file },
  { name: 'Release', path: '/api/projects/{project}/releases/{version}', params: release },
  { name: 'Project', path: '/api/projects/{project}', params: project },
] as const

const targetOf = (path: { project: string; filename?: string; version?: string }): Target => ({
  project: path.project,
  ...(path.filename === undefined ? {} : { filename: path.filename }),
  ...(path.version === undefined ? {} : { release: path.version }),
})

export function projectOperations(repository: string): AnyOperation[] {
  const yank = async (env: Env, token: string, target: Target, yanked: boolean | string) =>
    changed(await env.MEMBER.yank({ repository, token, ...target, yanked }))

  const ofEverySize = SIZES.flatMap(({ name, path, params }) => [
    operation({
      id: `delete${name}`,
      method: 'DELETE',
      path,
      summary: `Deletes the ${name.toLowerCase()}. Its file names are never accepted again; the bytes stay until the grace ends.`,
      scopes: ['delete'],
      params,
      query: {},
      body: reason,
      bodyOptional: true,
      answers: answers(REMOVED),
      refusals: [404],
      run: async ({ env, token, path: at, body }) => {
        const why = body.reason === undefined ? {} : { reason: body.reason }
        return changed(await env.MEMBER.remove({ repository, token, ...targetOf(at), purge: false, ...why }))
      },
    }),
    operation({
      id: `purge${name}`,
      method: 'POST',
      path: `${path}/purge`,
      summary: `Deletes the ${name.toLowerCase()} and erases its bytes at once, also of what was deleted before. Cannot be undone.`,
      scopes: ['admin'],
      params,
      query: {},
      body: { reason: text(REASON_LENGTH_MAX) },
      answers: answers(PURGED),
      refusals: [404],
      run: async ({ env, token, path: at, body }) =>
        changed(await env.MEMBER.remove({ repository, token, ...targetOf(at), purge: true, reason: body.reason })),
    }),
  ])

  const yanks = SIZES.slice(0, 2).flatMap(({ name, path, params }) => [
    operation({
      id: `yank${name}`,
      method: 'PUT',
      path: `${path}/yank`,
      summary: `Yanks the ${name.toLowerCase()} (PEP 592), with or without a reason.`,
      scopes: ['yank'],
      params,
      query: {},
      body: reason,
      answers: answers(VISIBLE),
      refusals: [404],
      run: ({ env, token, path: at, body }) => yank(env, token, targetOf(at), body.reason || true),
    }),
    operation({
      id: `unyank${name}`,
      method: 'DELETE',
      path: `${path}/yank`,
      summary: `Takes the yank of the ${name.toLowerCase()} back.`,
      scopes: ['yank'],
      params,
      query: {},
      answers: answers(VISIBLE),
      refusals: [404],
      run: ({ env, token, path: at }) => yank(env, token, targetOf(at), false),
    }),
  ])

  return [
    ...yanks,
    ...ofEverySize,
    operation({
      id: 'setProjectStatus',
      method: 'PUT',
      path: '/api/projects/{project}/status',
      summary:
        'Sets the status of the project (PEP 792). Archived and quarantined ones take no uploads; a quarantined one offers and signs no file.',
      scopes: ['admin'],
      params: project,
      query: {},
      body: { status: word('active', 'archived', 'quarantined', 'deprecated'), ...reason },
      answers: answers(VISIBLE),
      refusals: [404],
      run: async ({ env, token, path: at, body: { status, reason: why } }) => {
        const request = {
          repository,
          token,
          project: at.project,
          status,
          ...(why === undefined ? {} : { reason: why }),
        }
        return changed(await env.MEMBER.setStatus(request))
      },
    }),
  ]
}
