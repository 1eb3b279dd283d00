// The development ceremony: makes offline keys in the state folder and initialises the local service with them.
// Every step may be repeated: a first start that was interrupted is finished by the next.
import { ApiError, apiUrl, callApi, toBase64 } from './api.ts'
import {
  holdCeremony,
  makeOfflineKey,
  OFFLINE_ROLES,
  type OfflineKey,
  type OfflineRole,
  type OnlineKeys,
} from './ceremony.ts'
import type { StateFolder, Tokens } from './state-folder.ts'
import { CommandError } from './terminal.ts'
import { uploadFile } from './upload.ts'
import { buildWheel } from './wheel.ts'

const DAY_SECONDS = 86_400
/** Long enough that a laptop's index never asks for a ceremony; a real root lives a year (PEP 458). */
const DEVELOPMENT_YEARS = 5
const YEARS_MS = DEVELOPMENT_YEARS * 365 * DAY_SECONDS * 1000

/** Life and tick times in seconds, as the API takes them. */
export interface FreshnessSettings {
  timestampSeconds: number
  snapshotSeconds: number
  binSeconds: number
  tickSeconds: number
}

/** PEP 458: one day for timestamp, snapshot and bins. A tick an hour keeps ≥ 23 hours on every timestamp served. */
export const STANDARD: FreshnessSettings = {
  timestampSeconds: DAY_SECONDS,
  snapshotSeconds: DAY_SECONDS,
  binSeconds: DAY_SECONDS,
  tickSeconds: 3_600,
}

/** True after the ceremony; the service answers 503 before it. */
export async function isInitialised(base: string): Promise<boolean> {
  const answer = await fetch(apiUrl(base, '/tuf/timestamp.json'))
  await answer.arrayBuffer()
  return answer.status !== 503
}

export async function developmentCeremony(
  base: string,
  folder: StateFolder,
  freshness: FreshnessSettings = STANDARD,
): Promise<void> {
  const token = folder.secrets().bootstrapSecret
  let online: OnlineKeys
  try {
    online = await callApi<OnlineKeys>(base, 'POST', '/api/ceremony/keys', { token })
  } catch (error) {
    // A start that was killed right after the ceremony: the service goes on by itself, with the root that was saved.
    if (error instanceof ApiError && error.status === 409) return untilInitialised(base)
    throw error
  }
  const offline = {} as Record<OfflineRole, OfflineKey[]>
  for (const role of OFFLINE_ROLES) {
    const key = await makeOfflineKey()
    folder.saveKey(role, key.pkcs8)
    offline[role] = [key]
  }
  const signed = await holdCeremony({
    online,
    offline,
    thresholds: { root: 1, targets: 1, bins: 1 },
    expiresMs: Date.now() + YEARS_MS,
    development: true,
  })
  folder.saveRoot(signed.root)
  const body = {
    roots: [toBase64(signed.root)],
    targets: toBase64(signed.targets),
    bins: toBase64(signed.bins),
    freshness,
  }
  await callApi(base, 'POST', '/api/ceremony/metadata', { token, body })
}

async function untilInitialised(base: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await isInitialised(base)) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new CommandError('The service holds its ceremony but does not publish: start with an empty --folder.')
}

/** Mints what is missing; the administrator's token comes last, because its first use ends the bootstrap secret. */
export async function mintTokens(base: string, folder: StateFolder): Promise<Tokens> {
  const tokens = folder.tokens()
  const expires = Math.floor((Date.now() + YEARS_MS) / 1000)
  const secret = folder.secrets().bootstrapSecret
  const mint = async (name: string, scopes: string[]) => {
    const body = { name, scopes, allProjects: true, expires }
    return (await callApi<{ token: string }>(base, 'POST', '/api/tokens', { token: secret, body })).token
  }
  if (tokens.upload === undefined) {
    tokens.upload = await mint('development upload', ['read', 'upload', 'create', 'yank'])
    folder.saveTokens(tokens)
  }
  if (tokens.read === undefined) {
    tokens.read = await mint('development read', ['read'])
    folder.saveTokens(tokens)
  }
  if (tokens.admin === undefined) {
    tokens.admin = await mint('development admin', ['read', 'upload', 'create', 'yank', 'delete', 'audit', 'admin'])
    folder.saveTokens(tokens)
  }
  return { upload: tokens.upload, read: tokens.read, admin: tokens.admin }
}

/** Before the first package: nothing of a private index is ever shown without a token. */
export async function makePrivate(base: string, token: string): Promise<void> {
  await callApi(base, 'PUT', '/api/settings/reading', { token, body: { private: true } })
}

/** The first package of a new index, so that there is something to install and to verify. */
export async function publishHello(base: string, token: string): Promise<void> {
  const name = 'hello-tuf-edge'
  const version = '1.0'
  const wheel = buildWheel({
    name,
    version,
    summary: 'Says hello: the first package of a new tuf-edge index',
    metadata: ['Requires-Python: >=3.8'],
    files: {
      'hello_tuf_edge.py': 'def main():\n    print("Hello from an index whose every answer can be verified.")\n',
    },
    scripts: { 'hello-tuf-edge': 'hello_tuf_edge:main' },
  })
  try {
    await uploadFile({ base, token, name, version, filename: wheel.filename, bytes: wheel.bytes })
  } catch (error) {
    // Another release of this project may have published other bytes under this name; the person has a package already.
    if (!(error instanceof ApiError && error.message.includes('already exists'))) throw error
  }
}
