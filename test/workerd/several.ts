// What the tests of several repositories behind one host share: `main`, a second index, one that is signed elsewhere.
import { createExecutionContext } from 'cloudflare:test'
import { beforeAll } from 'vitest'
import type { Env } from '../../workers/env.ts'
import { createRepositories } from '../../workers/repositories.ts'
import { Adoption, doors } from './adoption.ts'
import { BOUNDARY, type Distribution, fieldsOf, formOf } from './distributions.ts'
import { bindings, newRepository, type TestRepository } from './repository.ts'
import { fetchFace } from './upload-harness.ts'

export const HOST = 'http://127.0.0.1'
const SCOPES = ['read', 'upload', 'create', 'yank', 'delete', 'audit', 'admin'] as const

/** An index as its operator and its readers have it. */
export interface Index {
  base: string
  repository: TestRepository
  operator: string
}

export async function makeIndex(name: string): Promise<Index> {
  const repository = await newRepository({ name })
  return { base: name === 'main' ? '' : `/r/${name}`, repository, operator: await repository.token([...SCOPES]) }
}

export let main: Index
export let staging: Index
export let adopted: Adoption
/** An admin token of `adopted`. */
export let adopter: string

/** Once a file. */
export function withSeveral(): void {
  beforeAll(async () => {
    main = await makeIndex('main')
    staging = await makeIndex('staging')
    adopted = await Adoption.make([])
    await adopted.adopt()
    adopter = await adopted.token('admin', 'upload', 'create')
  })
}

export function send(path: string, method: string, token: string, body?: unknown): Promise<Response> {
  const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
  const headers = { authorization: `Bearer ${token}`, ...type }
  return fetchFace(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
}

export const statusOf = async (answer: Response | Promise<Response>): Promise<number> => {
  const { status, body } = await answer
  await body?.cancel()
  return status
}

export const upload = ({ base }: Index, file: Distribution, token: string): Promise<number> =>
  statusOf(
    fetchFace(`${base}/legacy/`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
      body: formOf(fieldsOf(file), file.filename, file.bytes),
    }),
  )

/** As deployed, cold; what the doors and the bucket are asked for is noted. */
export function isolate() {
  const asked = { repositories: [] as string[], keys: [] as string[] }
  const noting = <T extends object>(door: T): T =>
    new Proxy({} as T, {
      get:
        (_, name) =>
        (...args: unknown[]) => {
          const [first] = args as [string | { repository: string }]
          asked.repositories.push(typeof first === 'string' ? first : first.repository)
          return (door as Record<PropertyKey, (...args: unknown[]) => unknown>)[name]!(...args)
        },
    })
  const bucket = new Proxy(bindings.BUCKET, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        asked.keys.push(String(args[0]))
        return member.apply(target, args) as unknown
      }
    },
  })
  const env = { BUCKET: bucket, PUBLIC: noting(doors.Public), MEMBER: noting(doors.Member) } as unknown as Env
  const app = createRepositories()
  const get = (path: string, init: RequestInit = {}) =>
    statusOf(app.fetch(new Request(HOST + path, init), env, createExecutionContext()))
  return { asked, get }
}
