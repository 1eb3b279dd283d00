// The routes of the API as a table: each operation names its path, what it reads and what it may answer, and its handler
// is given exactly that. The OpenAPI document is written from the same table (openapi.ts).
// Invariant: nothing reaches a handler that was not read by its shape.
import type { Hono } from 'hono'
import type { Refused, Scope } from '../durable-objects/rpc.ts'
import { FormatError } from '../tuf/errors.ts'
import type { Json } from '../tuf/json.ts'
import { answer, credentialOf, readBody } from './api-json.ts'
import type { Env } from './env.ts'
import type { Fields, Schema, Values } from './shapes.ts'

/** A reason, a status, two numbers: some hundred bytes. */
const BODY_BYTES_MAX = 16 * 1024

export interface Call<P extends Fields, Q extends Fields, B extends Fields> {
  env: Env
  request: Request
  /** Of the `Authorization` header; empty where none is wanted. */
  token: string
  path: Values<P>
  query: Values<Q>
  body: Values<B>
}

export interface Operation<P extends Fields = Fields, Q extends Fields = Fields, B extends Fields = Fields> {
  id: string
  method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** `/api/projects/{project}`; its last part takes slashes where `deep` says so. */
  path: string
  deep?: true
  summary: string
  /** Any of these suffices; absent: open to whoever may read. */
  scopes?: readonly Scope[]
  /** The bootstrap secret will do, where it still lives, or is the only thing that will. */
  secret?: true
  params: P
  query: Q
  /** Absent: whatever body comes is not looked at. */
  body?: B
  /** The body may be left out, which means that no field is given. */
  bodyOptional?: true
  /** Bytes of the longest body, where it may be longer than a few fields. */
  bodyMax?: number
  /** Media type of a body that is no JSON object of ours: the handler reads it. */
  raw?: string
  /** Statuses below 400, with what they mean and the schema of their JSON. */
  answers: Readonly<Record<number, { description: string; schema: Schema }>>
  /** Refusals beside the ones that every operation of its kind has. */
  refusals?: readonly number[]
  run(call: Call<P, Q, B>): Promise<Response>
}

/** What can be put into a table; the handler alone knows the types of its values. */
export type AnyOperation = Omit<Operation, 'run'> & { run(call: Call<Fields, Fields, Fields>): Promise<Response> }

export const operation = <P extends Fields, Q extends Fields, B extends Fields>(
  described: Operation<P, Q, B>,
): AnyOperation => ({
  ...described,
  run: (call) => described.run(call as unknown as Call<P, Q, B>),
})

/** The fields that were given. */
export const present = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }

/** 202: accepted, and visible in a moment. */
export const changed = <T extends { ok: true; visible: boolean }>(result: T | Refused): Response =>
  answer<T>(result, result.ok && !result.visible ? 202 : 200)

export function addOperations(api: Hono<{ Bindings: Env }>, operations: readonly AnyOperation[]): void {
  for (const each of operations)
    api.on(each.method, routeOf(each), async (c) => {
      const request = c.req.raw
      const token = each.scopes === undefined && !each.secret ? '' : credentialOf(request)
      return each.run({
        env: c.env,
        request,
        token,
        path: readTexts(each.params, c.req.param() as Record<string, string>),
        query: readTexts(each.query, queryOf(request)),
        body: await bodyOf(each, request),
      })
    })
}

function routeOf({ path, deep }: AnyOperation): string {
  const route = path.replaceAll(/\{(\w+)\}/g, ':$1')
  return deep ? `${route}{.+}` : route
}

async function bodyOf({ body, bodyOptional, bodyMax }: AnyOperation, request: Request): Promise<Values<Fields>> {
  if (body === undefined) return {}
  const absent = bodyOptional && request.headers.get('content-type') === null
  const object = absent
    ? new Map<string, Json>()
    : await readBody(request, bodyMax ?? BODY_BYTES_MAX, Object.keys(body))
  return Object.fromEntries(Object.entries(body).map(([name, shape]) => [name, shape.read(object.get(name), name)]))
}

/** Parts of a URL are texts; where a number is wanted, its digits, and for a flag its word. */
function readTexts(fields: Fields, texts: Record<string, string>): Values<Fields> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, shape]) => {
      const text = texts[name]
      const { type } = shape.schema
      if (type === 'integer' && text !== undefined && /^\d{1,15}$/.test(text))
        return [name, shape.read(Number(text), name)]
      if (type === 'boolean' && (text === 'true' || text === 'false')) return [name, shape.read(text === 'true', name)]
      return [name, shape.read(text, name)]
    }),
  )
}

function queryOf(request: Request): Record<string, string> {
  const texts: Record<string, string> = Object.create(null) as Record<string, string>
  for (const [name, text] of new URL(request.url).searchParams) {
    if (name in texts) throw new FormatError(`${name} is there twice.`)
    texts[name] = text
  }
  return texts
}
