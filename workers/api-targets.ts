// Target files of a repository that is signed elsewhere, put by their owner. State: none.
//
// Invariant: the bucket takes no bytes with another digest or length than was declared (R2 checks the digest on put, a
// FixedLengthStream the length), and a file lies under its digest: one that no signed metadata names is served to nobody.
// So files may come before the metadata that names them, with `?sha256=`, or after it.
import type { Done, Refused } from '../durable-objects/rpc.ts'
import { algorithmOf } from '../tuf/digest.ts'
import { blobKey } from '../tuf/layout.ts'
import { pathInside } from './addresses.ts'
import { answer, problem } from './api-json.ts'
import type { Env } from './env.ts'
import { bucket, log, NotFound, Problem } from './errors.ts'
import { type AnyOperation, operation } from './operations.ts'
import { segmentsBehind } from './paths.ts'
import type { Target } from './publication.ts'
import type { Reader } from './reader.ts'
import { flag, given, hex64, integer, maybe, text, word } from './shapes.ts'

const MARK = '/api/targets/'

type Given<T> = Exclude<T, Refused>

const STORED = given({ path: text(2_000), digest: text(128), length: integer(0), named: flag, stored: flag }).schema

export function targetOperations(reader: Reader): AnyOperation[] {
  const { repository } = reader
  return [
    operation({
      id: 'setGate',
      method: 'PUT',
      path: '/api/gate',
      summary: 'What happens to new metadata that names files which the bucket lacks.',
      scopes: ['admin'],
      params: {},
      query: {},
      body: { targets: word('required', 'warn', 'ignore') },
      answers: { 200: { description: 'In force.', schema: given({}).schema } },
      run: async ({ env, token, body: { targets } }) =>
        answer<Given<Done>>(await env.MEMBER.setGate({ repository, token, targets })),
    }),
    operation({
      id: 'putTarget',
      method: 'PUT',
      path: `${MARK}{path}`,
      deep: true,
      summary: 'Stores a target file; with its sha256 also before metadata names it.',
      scopes: ['upload', 'admin'],
      params: { path: text(2_000) },
      query: { sha256: maybe(hex64) },
      raw: 'application/octet-stream',
      answers: {
        200: { description: 'It was there.', schema: STORED },
        201: { description: 'Stored.', schema: STORED },
      },
      refusals: [404, 411],
      run: ({ env, request, token, query }) => putTarget(env, reader, request, token, query.sha256),
    }),
  ]
}

async function putTarget(
  env: Env,
  reader: Reader,
  request: Request,
  token: string,
  declared: string | undefined,
): Promise<Response> {
  const { repository } = reader
  const path = segmentsBehind(MARK, pathInside(repository, request))?.join('/')
  if (!path) throw new Problem(400, 'That is not a target path.')
  const length = lengthOf(request)
  const found = await (await reader.current(env)).find(env, path)
  const digest = declared ?? found?.sha256
  const wrong = complaint(path, digest, length, found)
  // Who may not put learns nothing of what is signed.
  const may = await env.MEMBER.mayPutTarget({ repository, token, path, digest: wrong ? null : digest!, length })
  if (!may.ok) return answer(may)
  if (wrong || digest === undefined) throw wrong ?? new NotFound()
  const key = blobKey({ repository, epoch: may.epoch }, digest, 1)
  const said = { ok: true as const, path, digest, length, named: found?.sha256 === digest }
  if ((await bucket(() => env.BUCKET.head(key)))?.size === length) {
    await request.body?.cancel()
    return answer({ ...said, stored: false })
  }
  return (await store(env, key, digest, length, request)) ?? answer({ ...said, stored: true }, 201)
}

function complaint(path: string, digest: string | undefined, length: number, found: Target | undefined) {
  if (digest === undefined)
    return new Problem(404, `No signed metadata names ${path} yet: add ?sha256= with its digest.`)
  if (found?.sha256 === digest && found.length !== length)
    return new Problem(400, `${path} has ${length} bytes, and ${found.length} were signed.`)
  return undefined
}

/** A refusal, or undefined: it is there. */
async function store(env: Env, key: string, digest: string, length: number, request: Request) {
  const { readable, writable } = new FixedLengthStream(length)
  const body = request.body ?? new Response('').body!
  const options = { [algorithmOf(digest)]: digest, onlyIf: { etagDoesNotMatch: '*' } }
  const stop = new AbortController()
  // A put that ends early leaves nobody to read what is still sent.
  const sent = body.pipeTo(writable, { signal: stop.signal }).catch((error: unknown) => error)
  try {
    await env.BUCKET.put(key, readable, options)
    return undefined
  } catch (error) {
    log('target-put', error)
    if (/checksum|digest|SHA-?(?:256|512)/i.test(String(error)))
      return problem(400, 'The bytes do not have the digest that was signed or declared.')
    return problem(503, 'The bucket did not take the file: send it again.', { 'Retry-After': '5' })
  } finally {
    stop.abort()
    await sent
  }
}

/** A file has to say its length: the bucket takes no stream of an unknown one. */
function lengthOf(request: Request): number {
  const text = request.headers.get('content-length') ?? ''
  if (!/^\d{1,13}$/.test(text)) throw new Problem(411, 'Send the file with its Content-Length.')
  return Number(text)
}
