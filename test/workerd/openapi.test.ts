// Every operation of the OpenAPI document, with valid and hostile input, through HTTP: no 5xx but a 503 that says when to
// come back, no status or content type that is not declared, answers that fit their schema, refusals as RFC 9457 has them.
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { createApi } from '../../workers/api.ts'
import { Reader } from '../../workers/reader.ts'
import { makeWheel } from './distributions.ts'
import { fetchFace, makeWorld, send, world } from './upload-harness.ts'

interface Schema {
  type?: string
  $ref?: string
  enum?: string[]
  anyOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean
  pattern?: string
  minimum?: number
  maximum?: number
  maxLength?: number
}
interface Content {
  content: Record<string, { schema: Schema }>
}
interface Operation {
  operationId: string
  security?: unknown[]
  parameters: { name: string; in: 'path' | 'query'; required: boolean; schema: Schema }[]
  requestBody?: Content & { required: boolean }
  responses: Record<string, Content>
}
interface Document {
  openapi: string
  servers: { url: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

const RUNS = 40
let document: Document
let operator: string

beforeAll(async () => {
  await makeWorld()
  operator = await world.repository.token(['read', 'upload', 'create', 'yank', 'delete', 'audit', 'admin'])
  for (const version of ['1.0', '1.1', '1.2']) expect((await send(await makeWheel('fuzzed', version))).status).toBe(200)
  document = await (await fetchFace('/api/openapi.json')).json<Document>()
})

/** What is wrong with the value by the schema, or undefined. */
function fault(value: unknown, schema: Schema, at = '$'): string | undefined {
  if (schema.$ref) return fault(value, document.components.schemas[schema.$ref.split('/').pop()!]!, at)
  if (schema.anyOf) {
    const faults = schema.anyOf.map((each) => fault(value, each, at))
    return faults.includes(undefined) ? undefined : faults.join(' and ')
  }
  const type =
    value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value
  if (schema.type !== undefined && schema.type !== type) return `${at} is ${type}, not ${schema.type}`
  if (schema.enum && !schema.enum.includes(value as string)) return `${at} is none of ${schema.enum}`
  if (typeof value === 'string' && value.length > (schema.maxLength ?? Infinity)) return `${at} is too long`
  if (typeof value === 'string' && schema.pattern && !new RegExp(schema.pattern, 'u').test(value))
    return `${at} is malformed`
  if (typeof value === 'number' && (value < (schema.minimum ?? value) || value > (schema.maximum ?? value)))
    return `${at} is out of range`
  if (Array.isArray(value))
    return value.map((item, i) => fault(item, schema.items ?? {}, `${at}[${i}]`)).find((found) => found !== undefined)
  if (type !== 'object') return undefined
  const object = value as Record<string, unknown>
  const absent = (schema.required ?? []).find((name) => !(name in object))
  if (absent !== undefined) return `${at}.${absent} is absent`
  for (const [name, of] of Object.entries(object)) {
    const known = schema.properties?.[name]
    if (!known && schema.additionalProperties === false) return `${at}.${name} is unknown`
    const wrong = known && fault(of, known, `${at}.${name}`)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

const KNOWN: Record<string, string[]> = {
  project: ['fuzzed', 'Fuzzed', 'nobody'],
  filename: ['fuzzed-1.0-py3-none-any.whl', 'none.whl'],
  version: ['1.0', '1.1.0', '9'],
  reason: ['broken', ''],
  after: ['a', 'zzz'],
  limit: ['1', '1000'],
}
/** What a valid value of the field needs beside its schema. */
const VALUES: Record<string, unknown> = {
  expires: Math.floor(Date.now() / 1000) + 3_600,
  scopes: ['upload', 'read'],
  projects: ['fuzzed'],
  freshness: 'standard',
  roots: [btoa('{}')],
  targets: btoa('{}'),
  bins: btoa('{}'),
  limit: 50,
  sha256: '0'.repeat(64),
  size: 1_000,
  kind: 'github',
  ownerId: '65',
  repository: 'octo-org/sample',
  workflow: 'release.yml',
  audience: 'main.example.org',
  url: 'https://127.0.0.1:9/',
  secret: 'a'.repeat(32),
  bytes: btoa('{"signed":{},"signatures":[]}'),
  role: 'targets',
  origin: 'https://pypi.example.org',
}
const hostile = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    '%00',
    '..%2f..',
    '..\\x',
    '\u0000',
    'a\nb',
    '\ud800',
    "'; DROP TABLE files",
    '💥',
    '0x1',
    '1e9',
    '-1',
    'x'.repeat(3_000),
  ),
  fc.string({ minLength: 1, unit: 'binary', maxLength: 40 }),
)
const textFor = (name: string, schema: Schema): fc.Arbitrary<string> => {
  const known = schema.type === 'boolean' ? ['true', 'false'] : (schema.enum ?? KNOWN[name] ?? ['x'])
  return fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...known) }, hostile)
}
const validFor = (name: string, schema: Schema): fc.Arbitrary<unknown> => {
  if (name in VALUES) return fc.constant(VALUES[name])
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((each) => validFor(name, each)))
  if (schema.type === 'boolean') return fc.boolean()
  if (schema.type === 'array') return fc.array(validFor(name, schema.items ?? {}), { minLength: 1, maxLength: 2 })
  if (schema.type === 'object')
    return fc.record(
      Object.fromEntries(Object.entries(schema.properties ?? {}).map(([key, each]) => [key, validFor(key, each)])),
    )
  if (schema.type === 'null') return fc.constant(null)
  if (schema.type === 'integer')
    return fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 100_000, 100_000) })
  return fc.constantFrom(...(schema.enum ?? KNOWN[name] ?? ['x']))
}
const valueFor = (name: string, schema: Schema): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 3, arbitrary: validFor(name, schema) }, textFor(name, schema), fc.jsonValue())
/** A text that a URL can carry as one segment: encoders refuse lone surrogates, and dots alone are another path. */
const segment = (value: string): string => {
  const encoded = encodeURIComponent(value.toWellFormed())
  return /^\.{1,2}$/.test(encoded) ? 'dots' : encoded
}

function requestFor({ parameters, requestBody }: Operation) {
  const params = fc.record(
    Object.fromEntries(
      parameters.filter((each) => each.in === 'path').map(({ name, schema }) => [name, textFor(name, schema)]),
    ),
  )
  const query = fc.record(
    Object.fromEntries(
      parameters.filter((each) => each.in === 'query').map(({ name, schema }) => [name, textFor(name, schema)]),
    ),
    { requiredKeys: [] },
  )
  const fields = requestBody?.content['application/json']?.schema.properties ?? {}
  const required = requestBody?.content['application/json']?.schema.required ?? []
  const body = fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .record(Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name, validFor(name, schema)])), {
          requiredKeys: required,
        })
        .map((value) => JSON.stringify(value)),
    },
    {
      weight: 4,
      arbitrary: fc
        .record(Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name, valueFor(name, schema)])), {
          requiredKeys: [],
        })
        .map((value) => JSON.stringify(value)),
    },
    fc.json(),
    fc.string(),
    fc.constantFrom('', '{', '{"reason":"a","reason":"b"}', '[]', `"${'x'.repeat(20_000)}"`, '{"reason":1e999}'),
  )
  const type = fc.constantFrom(
    'application/json',
    'application/json',
    'application/json; charset=utf-8',
    'text/plain',
    undefined,
  )
  const token = fc.constantFrom('operator', 'operator', 'operator', 'none', 'tue_wrong', 'x')
  return fc.record({ params, query, body, type, token })
}

test('the document names its dialect, and an operation of every kind', () => {
  expect(document.openapi).toBe('3.1.0')
  const ids = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId),
  )
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids).toEqual(
    expect.arrayContaining([
      'yankFile',
      'unyankRelease',
      'deleteProject',
      'purgeFile',
      'setProjectStatus',
      'listProjects',
    ]),
  )
})

test('every route of the API is in the document, and nothing else is', () => {
  const routes = createApi(new Reader('main'), 'index').routes.filter(({ method }) => method !== 'ALL')
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{([\w-]+)\}/g, ':$1')}`),
  )
  expect([...described, 'GET /api/openapi.json'].sort()).toEqual(routes.map((r) => `${r.method} ${r.path}`).sort())
})

test('every operation keeps to what it declares', async () => {
  const seen = new Map<string, Set<number>>()
  let calls = 0
  // What deletes or ends something comes last, so that the others find it.
  const operations = Object.entries(document.paths)
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
    )
    .sort(
      (a, b) =>
        Number(/delete|purge/.test(a.operation.operationId)) - Number(/delete|purge/.test(b.operation.operationId)),
    )
  for (const { path, method, operation } of operations)
    await fc.assert(
      fc.asyncProperty(requestFor(operation), async ({ params, query, body, type, token }) => {
        const at = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => segment(params[name]!))
        const asked = Object.entries(query)
          .map(([name, value]) => `${name}=${segment(value!)}`)
          .join('&')
        // Everybody from another address, or the limit on failures would soon be all that is seen.
        const headers = new Headers({ 'cf-connecting-ip': `fd00:0:0:${(++calls).toString(16)}::1` })
        const bodied = operation.requestBody !== undefined
        if (bodied && type !== undefined) headers.set('content-type', type)
        if (token !== 'none') headers.set('authorization', `Bearer ${token === 'operator' ? operator : token}`)
        const answer = await fetchFace(`${at}?${asked}`, { method, headers, ...(bodied ? { body } : {}) })
        const text = await answer.text()
        const about = `${method} ${at} ${answer.status} ${text.slice(0, 200)}`
        const declared = operation.responses[String(answer.status)]
        expect(declared, about).toBeDefined()
        if (answer.status === 503) expect(answer.headers.get('retry-after'), about).toMatch(/^\d+$/)
        else expect(answer.status, about).toBeLessThan(500)
        const [[media, { schema }]] = Object.entries(declared!.content) as [[string, { schema: Schema }]]
        expect(answer.headers.get('content-type'), about).toBe(media)
        const value = JSON.parse(text) as Record<string, unknown>
        expect(fault(value, schema), about).toBeUndefined()
        if (media === 'application/problem+json') {
          expect(value.status).toBe(answer.status)
          expect(value.detail, about).toMatch(/^[^\n]{5,600}\.$/)
        }
        const known = seen.get(operation.operationId) ?? new Set()
        seen.set(operation.operationId, known.add(answer.status))
      }),
      { numRuns: RUNS },
    )
  // Hostile input alone would prove little: many calls succeed, and most kinds are refused too.
  const statuses = [...seen.values()]
  expect(statuses.filter((each) => each.has(200)).length).toBeGreaterThan(statuses.length / 3)
  // Where nothing is given, nothing can be wrong with it.
  const given = operations.filter(({ operation: { parameters, requestBody } }) => parameters.length > 0 || requestBody)
  const refused = given.filter(({ operation }) => seen.get(operation.operationId)!.has(400))
  expect(refused.length).toBeGreaterThan(given.length / 2)
}, 120_000)
