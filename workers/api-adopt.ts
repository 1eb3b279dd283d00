// The API of a repository that is signed elsewhere: its keys, its adoption, new files of people's roles, its origin.
// State: none. What a batch holds is judged by the publisher; here it is only unpacked.
import type { Hono } from 'hono'
import type { Done, KeysAnswer, Refused } from '../durable-objects/rpc.ts'
import type { HandedOver, PushAnswer } from '../durable-objects/rpc-adopt.ts'
import { FormatError } from '../tuf/errors.ts'
import { asArray, asInteger, asString } from '../tuf/fields.ts'
import type { Json } from '../tuf/json.ts'
import { answer, credentialOf, fromBase64, objectOf, readBody, readBytes } from './api-json.ts'
import { freshnessFrom } from './api-upkeep.ts'
import type { Env } from './env.ts'

/** 20 MB of metadata in base64, which is what one call between the scripts carries (32 MiB, platform limit) with room. */
const BATCH_BYTES_MAX = 27_000_000
/** One file; the publisher takes 1.99 MB. */
const FILE_BYTES_MAX = 2_000_000
const BODY_BYTES_MAX = 16 * 1024
/** Two roots of 512,000 bytes in base64. */
const RELEASE_BYTES_MAX = 1_400_000

type Given<T> = Exclude<T, Refused>

/** Adds the routes to `api`. @param repository the one that they are about */
export function addAdoption(api: Hono<{ Bindings: Env }>, repository: string): void {
  /** The keys that the next root of its owner has to name. Takes the bootstrap secret. */
  api.post('/api/ceremony/keys', async (c) =>
    answer<Given<KeysAnswer>>(await c.env.MEMBER.createKeys(repository, credentialOf(c.req.raw), true)),
  )

  /** Hands the whole repository over. Takes the bootstrap secret. */
  api.post('/api/adopt', async (c) => {
    const secret = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, BATCH_BYTES_MAX, ['files', 'served', 'freshness'])
    const served = objectOf(body.get('served'), 'served', ['snapshot', 'timestamp'])
    const request = {
      repository,
      files: filesOf(body.get('files')),
      served: {
        snapshot: asInteger(served.get('snapshot'), 0, 'snapshot'),
        timestamp: asInteger(served.get('timestamp'), 0, 'timestamp'),
      },
      freshness: freshnessFrom(body.get('freshness')),
    }
    return pushed(await c.env.MEMBER.adopt(request, secret))
  })

  addHandingOver(api, repository)

  /** Takes the repository back: two roots, the second of which names none of our keys. */
  api.post('/api/release', async (c) => {
    const token = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, RELEASE_BYTES_MAX, ['files'])
    return pushed(await c.env.MEMBER.release({ repository, token, files: filesOf(body.get('files')) }))
  })

  /** Where target files come from that the bucket lacks. */
  api.put('/api/origin', async (c) => {
    const token = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, BODY_BYTES_MAX, ['url'])
    const origin = asString(body.get('url'), 'url')
    return answer<Given<Done>>(await c.env.MEMBER.setOrigin({ repository, token, origin }))
  })

  api.delete('/api/origin', async (c) =>
    answer<Given<Done>>(await c.env.MEMBER.setOrigin({ repository, token: credentialOf(c.req.raw), origin: null })),
  )
}

/** New versions of what people sign: of an index its root, targets and bins. */
export function addHandingOver(api: Hono<{ Bindings: Env }>, repository: string): void {
  /** New files, all or none. Takes a token that may hand over each of their roles. */
  api.put('/api/metadata', async (c) => {
    const token = credentialOf(c.req.raw)
    const body = await readBody(c.req.raw, BATCH_BYTES_MAX, ['files'])
    return pushed(await c.env.MEMBER.push({ repository, token, files: filesOf(body.get('files')) }))
  })

  /** One file as it is: the body is the metadata. */
  api.put('/api/metadata/:role', async (c) => {
    const token = credentialOf(c.req.raw)
    const role = c.req.param('role')
    const bytes = await readBytes(c.req.raw, FILE_BYTES_MAX)
    return pushed(await c.env.MEMBER.push({ repository, token, files: [{ role, bytes }] }))
  })
}

/** 202: accepted, and visible in a moment. */
const pushed = (result: PushAnswer): Response =>
  answer<Given<PushAnswer>>(result, result.ok && !result.visible ? 202 : 200)

function filesOf(value: Json | undefined): HandedOver[] {
  const files = asArray(value, 'files')
  if (files.length === 0) throw new FormatError('files must hold at least one file.')
  return files.map((item) => {
    const file = objectOf(item, 'A file', ['role', 'bytes'])
    return {
      role: asString(file.get('role'), 'role'),
      bytes: fromBase64(asString(file.get('bytes'), 'bytes'), 'bytes'),
    }
  })
}
