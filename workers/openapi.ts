// The OpenAPI 3.1 document, written from the table of operations: what it says is what the handlers enforce. State: none.
import type { AnyOperation } from './operations.ts'
import type { Fields, Schema } from './shapes.ts'

const PROBLEM: Schema = {
  type: 'object',
  description: 'RFC 9457',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'One sentence: what is wrong and what to do.' },
  },
  required: ['type', 'title', 'status', 'detail'],
}

const REFUSALS: Readonly<Record<number, string>> = {
  400: 'Something about the request is wrong.',
  401: 'No token, or none that is known here.',
  403: 'The token may not do this, or a page of another origin asked.',
  404: 'There is no such thing.',
  409: 'It cannot be done as things stand; the detail says what stands in its way.',
  413: 'The body is too large.',
  415: 'The body is not application/json.',
  429: 'Too many bad tokens from this address; Retry-After says when to ask again.',
  503: 'Not now; Retry-After says when to ask again.',
}

/** Statuses of refusal that an operation may answer: on a private index also a read wants a token. */
function refusalsOf({ body, raw, refusals = [] }: AnyOperation): number[] {
  const asked = [...(body ? [413, 415] : []), ...(raw ? [413] : [])]
  return [...new Set([400, 401, 403, 429, 503, ...asked, ...refusals])].sort((a, b) => a - b)
}

const parameters = (place: 'path' | 'query', fields: Fields) =>
  Object.entries(fields).map(([name, { schema, optional }]) => ({ name, in: place, required: !optional, schema }))

function describe(each: AnyOperation): Schema {
  const { id, summary, scopes, secret, params, query, body, bodyOptional, raw, answers } = each
  const fields = Object.entries(body ?? {})
  const schema = {
    type: 'object',
    properties: Object.fromEntries(fields.map(([name, shape]) => [name, shape.schema])),
    required: fields.flatMap(([name, shape]) => (shape.optional ? [] : [name])),
    additionalProperties: false,
  }
  const responses = [
    ...Object.entries(answers).map(([status, answer]) => [
      status,
      { description: answer.description, content: { 'application/json': { schema: answer.schema } } },
    ]),
    ...refusalsOf(each).map((status) => [
      String(status),
      {
        description: REFUSALS[status],
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  ]
  return {
    operationId: id,
    summary,
    ...(scopes || secret
      ? { security: [...(scopes ? [{ token: [] }] : []), ...(secret ? [{ bootstrap: [] }] : [])] }
      : {}),
    ...(scopes ? { 'x-scopes': scopes } : {}),
    parameters: [...parameters('path', params), ...parameters('query', query)],
    ...(body === undefined
      ? {}
      : { requestBody: { required: !bodyOptional, content: { 'application/json': { schema } } } }),
    ...(raw === undefined ? {} : { requestBody: { required: true, content: { [raw]: { schema: {} } } } }),
    responses: Object.fromEntries(responses),
  }
}

/** @param server where the paths begin */
export function openApiOf(operations: readonly AnyOperation[], server: string): Schema {
  const paths: Record<string, Record<string, Schema>> = {}
  for (const each of operations) {
    paths[each.path] ??= {}
    paths[each.path]![each.method.toLowerCase()] = describe(each)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'tuf-edge: the operators’ API',
      version: '1',
      description: 'Everything under /api/. Fields of answers are only ever added.',
    },
    servers: [{ url: server }],
    paths,
    components: {
      schemas: { Problem: PROBLEM },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'tuf-edge token create' },
        bootstrap: { type: 'http', scheme: 'bearer', description: 'The bootstrap secret of the deployment' },
      },
    },
  }
}
