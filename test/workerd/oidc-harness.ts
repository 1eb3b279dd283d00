// What the tests of trusted publishing share: a repository behind the face, and issuers of JWTs behind the only `fetch` that
// the publisher makes.
import { afterEach, beforeAll, beforeEach, expect, vi } from 'vitest'
import type { Scope } from '../../durable-objects/rpc.ts'
import { setClock } from './controls.ts'
import { BOUNDARY, fieldsOf, formOf, makeWheel } from './distributions.ts'
import { JwtIssuer } from './jwt-issuer.ts'
import { fetchFace, makeWorld, world } from './upload-harness.ts'

export const GITHUB = 'https://token.actions.githubusercontent.com'
export const GITLAB = 'https://gitlab.example.org/git'

export type Serve = (path: string, signal: AbortSignal) => Response | Promise<Response> | undefined
/** What lies at an issuer, by its address; without one the test fails in `fetch`. */
export const sites = new Map<string, Serve>()
export const asked: string[] = []

export let github: JwtIssuer
export let gitlab: JwtIssuer
export let admin: string
export let audience: string

export function serve(issuer: JwtIssuer, keys?: object[]): void {
  sites.set(issuer.url, (path) => {
    const found = issuer.answer(path, keys)
    return found && Response.json(found)
  })
}

/** A new issuer of its own: what one test does to the keys of an issuer is none of another's business. */
let sequence = 0
export async function newIssuer(kid?: string, algorithm?: 'RS256' | 'ES256', bits?: number): Promise<JwtIssuer> {
  const issuer = await JwtIssuer.make(`https://ci-${sequence++}.example.org`, kid, algorithm, bits)
  serve(issuer)
  return issuer
}

export const api = (method: string, path: string, body?: unknown, token = admin): Promise<Response> =>
  fetchFace(path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })

export const OCTO = { kind: 'github', repository: 'Octo-Org/octo-repo', ownerId: '65', workflow: 'release.yml' }

export async function add(publisher: Record<string, unknown>): Promise<string> {
  const answer = await api('POST', '/api/publishers', publisher)
  const text = await answer.text()
  expect({ status: answer.status, text }).toMatchObject({ status: 200 })
  return (JSON.parse(text) as { id: string }).id
}

export const mint = (token: unknown, more: object = {}): Promise<Response> =>
  fetchFace('/_/oidc/mint-token', { method: 'POST', body: JSON.stringify({ token, ...more }) })

export async function minted(jwt: string): Promise<{ token: string; expires: number }> {
  const answer = await mint(jwt)
  const body = (await answer.json()) as { success: boolean; token: string; expires: number }
  expect({ status: answer.status, body }).toMatchObject({ status: 200, body: { success: true } })
  return body
}

export async function expectDenied(answer: Response, code: string, description: RegExp, status = 422): Promise<void> {
  const text = await answer.text()
  expect({ status: answer.status, text }).toMatchObject({ status })
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.headers.get('cache-control')).toBe('no-store')
  const body = JSON.parse(text)
  expect(body).toMatchObject({ status, message: 'Token request failed', errors: [{ code }] })
  expect(body.errors[0].description).toMatch(description)
  expect(body.detail).toBe(body.errors[0].description)
}

export async function upload(token: string, project: string, version = '1.0'): Promise<number> {
  const file = await makeWheel(project, version)
  const answer = await fetchFace('/legacy/', {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: formOf(fieldsOf(file), file.filename, file.bytes),
  })
  await answer.text()
  return answer.status
}

/** A project, made by an uploader with a token. */
export async function makeProject(project: string): Promise<void> {
  expect(await upload(world.token, project)).toBe(200)
}

/** One repository a file; the issuers answer afresh for each test. */
export function withIssuers(): void {
  beforeAll(async () => {
    await makeWorld()
    const scopes: Scope[] = ['read', 'upload', 'create', 'yank', 'delete', 'audit', 'admin']
    admin = await world.repository.token(scopes)
    ;[github, gitlab] = await Promise.all([JwtIssuer.make(GITHUB), JwtIssuer.make(GITLAB)])
    audience = ((await (await fetchFace('/_/oidc/audience')).json()) as { audience: string }).audience
  })

  beforeEach(() => {
    serve(github)
    serve(gitlab)
    asked.length = 0
    vi.stubGlobal('fetch', async (input: URL | string, init: RequestInit) => {
      const url = String(input)
      asked.push(url)
      expect(init.redirect).toBe('manual')
      const site = [...sites.keys()].find((base) => url.startsWith(`${base}/`))
      if (!site) throw new Error(`nobody is at ${url}`)
      return (await sites.get(site)!(url.slice(site.length), init.signal!)) ?? new Response(null, { status: 404 })
    })
  })

  afterEach(async () => {
    vi.unstubAllGlobals()
    await setClock(world.repository, 0)
  })
}

/** A further token of the repository. */
export async function tokenOf(scopes: Scope[]): Promise<string> {
  const expires = Math.floor(Date.now() / 1000) + 3_600
  const minted = await world.repository.member.mint({ repository: 'main', name: 'further', scopes, expires }, admin)
  if (!minted.ok) throw new Error(minted.message)
  return minted.token
}
