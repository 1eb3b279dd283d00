// The API of a repository that is signed elsewhere: its keys, its adoption, new files of people's roles, its origin.
// State: none. What a batch holds is judged by the publisher; here it is only unpacked.
import type { Done, Refused } from '../durable-objects/rpc.ts'
import type { HandedOver, PullSetting, PushAnswer } from '../durable-objects/rpc-adopt.ts'
import type { FreshnessRequest } from '../durable-objects/rpc-upkeep.ts'
import { FormatError } from '../tuf/errors.ts'
import { answer, readBytes } from './api-json.ts'
import type { Env } from './env.ts'
import { type AnyOperation, changed, operation, present } from './operations.ts'
import { base64, flag, freshness, given, hex64, integer, list, maybe, record, text } from './shapes.ts'

/** 20 MB of metadata in base64, which is what one call between the scripts carries (32 MiB, platform limit) with room. */
export const BATCH_BYTES_MAX = 27_000_000
/** One file, as large as clients read. */
const FILE_BYTES_MAX = 5_000_000
/** Two roots of 512,000 bytes in base64. */
const RELEASE_BYTES_MAX = 1_400_000

type Given<T> = Exclude<T, Refused>

/** The files of a batch, as they cross. */
export const FILES = list(record({ role: text(200), bytes: base64 }))
/** In one call, or the name of a batch that came in parts. */
const BATCH = { files: maybe(FILES), batch: maybe(hex64) }
const PUSHED = given({
  accepted: list(text(300)),
  held: list(given({ root: integer(1), notBefore: integer(0) })),
  targets: maybe(given({ fresh: integer(0), looked: integer(0), missing: list(text(2_000)) })),
  warnings: list(text(1_000)),
  unchecked: maybe(integer(1)),
  visible: flag,
}).schema
const PUSH_ANSWERS = {
  200: { description: 'Published.', schema: PUSHED },
  202: {
    description: 'Accepted and durable; visible in a moment. With `unchecked`: nothing is taken yet, repeat the call.',
    schema: PUSHED,
  },
}
const DONE = { 200: { description: 'In force.', schema: given({}).schema } }

/** @param repository the one that they are about */
export function adoptionOperations(repository: string): AnyOperation[] {
  const setOrigin = async (env: Env, token: string, origin: string | null): Promise<Response> =>
    answer<Given<Done>>(await env.MEMBER.setOrigin({ repository, token, origin }))

  const setPull = async (env: Env, token: string, pull: PullSetting | null): Promise<Response> =>
    answer<Given<Done>>(await env.MEMBER.setPull({ repository, token, pull }))

  return [
    operation({
      id: 'setPull',
      method: 'PUT',
      path: '/api/pull',
      summary: 'Where new metadata is fetched, and how often; the first time at once.',
      scopes: ['admin'],
      params: {},
      query: {},
      body: { url: text(2_000), everySeconds: integer(60), privateAddresses: maybe(flag) },
      answers: DONE,
      run: ({ env, token, body }) =>
        setPull(env, token, { url: body.url, everySeconds: body.everySeconds, ...present(body) }),
    }),
    operation({
      id: 'removePull',
      method: 'DELETE',
      path: '/api/pull',
      summary: 'New metadata is pushed alone.',
      scopes: ['admin'],
      params: {},
      query: {},
      answers: DONE,
      run: ({ env, token }) => setPull(env, token, null),
    }),
    operation({
      id: 'adopt',
      method: 'POST',
      path: '/api/adopt',
      summary: 'Hands the whole repository over: roots, targets, every delegated role, and the versions served so far.',
      secret: true,
      params: {},
      query: {},
      body: {
        ...BATCH,
        served: record({ snapshot: integer(0), timestamp: integer(0) }),
        last: maybe(record({ snapshot: base64, timestamp: base64 })),
        freshness,
      },
      bodyMax: BATCH_BYTES_MAX,
      answers: PUSH_ANSWERS,
      refusals: [409],
      run: async ({ env, token, body: { served, last, freshness: times, ...batch } }) => {
        const from = { served, ...(last ? { last } : {}) }
        const request = { repository, ...one(batch), ...from, freshness: times as FreshnessRequest['freshness'] }
        return changed<Given<PushAnswer>>(await env.MEMBER.adopt(request, token))
      },
    }),
    operation({
      id: 'release',
      method: 'POST',
      path: '/api/release',
      summary: 'Takes the repository back: two roots, the second of which names none of our keys.',
      scopes: ['admin'],
      params: {},
      query: {},
      body: { files: FILES },
      bodyMax: RELEASE_BYTES_MAX,
      answers: PUSH_ANSWERS,
      refusals: [409],
      run: async ({ env, token, body }) =>
        changed<Given<PushAnswer>>(await env.MEMBER.release({ repository, token, files: some(body.files) })),
    }),
    operation({
      id: 'setOrigin',
      method: 'PUT',
      path: '/api/origin',
      summary: 'Where target files come from that the bucket lacks.',
      scopes: ['admin'],
      params: {},
      query: {},
      body: { url: text(2_000) },
      answers: DONE,
      run: ({ env, token, body: { url } }) => setOrigin(env, token, url),
    }),
    operation({
      id: 'removeOrigin',
      method: 'DELETE',
      path: '/api/origin',
      summary: 'Target files come from the bucket alone.',
      scopes: ['admin'],
      params: {},
      query: {},
      answers: DONE,
      run: ({ env, token }) => setOrigin(env, token, null),
    }),
  ]
}

/** New versions of what people sign: of an index its root, targets and bins. */
export function handingOver(repository: string): AnyOperation[] {
  const push = async (env: Env, token: string, batch: { files: HandedOver[]; batch?: string }): Promise<Response> =>
    changed<Given<PushAnswer>>(await env.MEMBER.push({ repository, token, ...batch }))
  const handedOver = {
    scopes: ['metadata:ROLE', 'admin'],
    query: {},
    answers: PUSH_ANSWERS,
    refusals: [409],
  } as const

  return [
    operation({
      ...handedOver,
      id: 'pushMetadata',
      method: 'PUT',
      path: '/api/metadata',
      summary: 'New files of roles that people sign, all or none.',
      params: {},
      body: BATCH,
      bodyMax: BATCH_BYTES_MAX,
      run: ({ env, token, body }) => push(env, token, one(body)),
    }),
    operation({
      ...handedOver,
      id: 'pushRole',
      method: 'PUT',
      path: '/api/metadata/{role}',
      summary: 'One new file as it is: the body is the metadata.',
      params: { role: text(200) },
      raw: 'application/json',
      run: async ({ env, request, token, path: { role } }) =>
        push(env, token, { files: [{ role, bytes: await readBytes(request, FILE_BYTES_MAX) }] }),
    }),
  ]
}

function one({ files, batch }: { files?: HandedOver[] | undefined; batch?: string | undefined }) {
  if ((files === undefined) === (batch === undefined)) throw new FormatError('Either files or batch must be given.')
  return batch === undefined ? { files: some(files!) } : { files: [], batch }
}

export function some(files: HandedOver[]): HandedOver[] {
  if (files.length === 0) throw new FormatError('files must hold at least one file.')
  return files
}
