// The operators' API, quotas of the index and of its projects. State: none; the publisher decides and counts.
import type { QuotaRequest } from '../durable-objects/rpc-projects.ts'
import { answer } from './api-json.ts'
import { type AnyOperation, operation } from './operations.ts'
import { either, type Fields, given, integer, nothing, projectName } from './shapes.ts'

const limit = either(integer(0), nothing)
const QUOTA = { bytes: limit, files: limit, fileBytes: limit }
const DONE = { 200: { description: 'In force for every upload from now on.', schema: given({}).schema } }
const HELD = given({ quota: given(QUOTA), held: given({ files: integer(0), bytes: integer(0) }) }).schema
const SHOWN = { 200: { description: 'The limits, null for none, and what is held.', schema: HELD } }

/** Of the index, or of a project. */
const SCOPES: readonly { name: string; path: string; whose: string; params: Fields; refusals: number[] }[] = [
  { name: 'Quota', path: '/api/settings/quota', whose: 'the index', params: {}, refusals: [] },
  {
    name: 'ProjectQuota',
    path: '/api/projects/{project}/quota',
    whose: 'the project',
    params: { project: projectName },
    refusals: [404],
  },
]

export function quotaOperations(repository: string): AnyOperation[] {
  const of = (path: object): { project?: string } => path
  return SCOPES.flatMap(({ name, path, whose, params, refusals }) => [
    operation({
      id: `get${name}`,
      method: 'GET',
      path,
      summary: `What ${whose} may hold, and holds: files that wait are counted, deleted ones are not.`,
      scopes: ['admin', 'audit'],
      params,
      query: {},
      answers: SHOWN,
      refusals,
      run: async ({ env, token, path: at }) => answer(await env.MEMBER.quota({ repository, token, ...of(at) })),
    }),
    operation({
      id: `set${name}`,
      method: 'PUT',
      path,
      summary: `Limits what ${whose} may hold: bytes, files, bytes of one file; null is no limit. What is there stays.`,
      scopes: ['admin'],
      params,
      query: {},
      body: QUOTA,
      answers: DONE,
      refusals,
      run: async ({ env, token, path: at, body }) => {
        const request: QuotaRequest = { repository, token, ...of(at), quota: body }
        return answer(await env.MEMBER.setQuota(request))
      },
    }),
  ])
}
