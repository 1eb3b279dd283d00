// What the upload tests share: the face, one repository behind it, and what is visible and stored there.
import { createExecutionContext, runInDurableObject } from 'cloudflare:test'
import { exports } from 'cloudflare:workers'
import { expect } from 'vitest'
import type { Publisher } from '../../durable-objects/publisher.ts'
import { normalizeName } from '../../pypi/names.ts'
import { shardOf } from '../../tuf/bins.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { bucketPrefix } from '../../tuf/layout.ts'
import type { Env } from '../../workers/env.ts'
import { createUpload } from '../../workers/upload.ts'
import { BOUNDARY, type Distribution, type Field, fieldsOf, formOf } from './distributions.ts'
import { bindings, newRepository, type TestRepository } from './repository.ts'

const ORIGIN = 'http://127.0.0.1'
const face = exports as unknown as { default: Fetcher }
export const fetchFace = (path: string, init?: RequestInit) => face.default.fetch(`${ORIGIN}${path}`, init)

/** The repository the face shows, and an uploader's token for it. */
export const world = {} as { repository: TestRepository; token: string }

/** Makes the repository; once a file. */
export async function makeWorld(): Promise<void> {
  world.repository = await newRepository({ name: 'main' })
  world.token = await world.repository.token()
}

/** Sends a form the way uv does. */
export function post(body: BodyInit, headers: Record<string, string> = {}): Promise<Response> {
  return fetchFace('/legacy/', {
    method: 'POST',
    headers: {
      authorization: `Basic ${btoa(`__token__:${world.token}`)}`,
      'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
      ...headers,
    },
    body,
  })
}

export const send = (file: Distribution, after: Field[] = [], headers: Record<string, string> = {}) =>
  post(formOf(fieldsOf(file), file.filename, file.bytes, after), headers)

/** The route alone, with another bucket under it: what the runtime would not let a real client send, and counting. */
export const postDirectly = (
  body: BodyInit,
  headers: Record<string, string>,
  bucket = bindings.BUCKET,
  member: object = world.repository.member,
) => {
  const env = { BUCKET: bucket, MEMBER: member, PUBLIC: world.repository.public } as unknown as Env
  const basic = {
    authorization: `Bearer ${world.token}`,
    'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
  }
  const request = new Request(`${ORIGIN}/legacy/`, { method: 'POST', headers: { ...basic, ...headers }, body })
  return Promise.resolve(createUpload('main').fetch(request, env, createExecutionContext()))
}

export async function page(project: string): Promise<{ filename: string; url: string; hashes: { sha256: string } }[]> {
  const headers = { accept: 'application/vnd.pypi.simple.v1+json' }
  const answer = await fetchFace(`/simple/${project}/`, { headers })
  const text = await answer.text()
  return answer.status === 404 ? [] : JSON.parse(text).files
}

export async function download(project: string, filename: string): Promise<Uint8Array | number> {
  const answer = await fetchFace(`/files/${shardOf(project)}/${project}/${filename}`)
  const bytes = new Uint8Array(await answer.arrayBuffer())
  return answer.status === 200 ? bytes : answer.status
}

export async function stored(prefix = ''): Promise<string[]> {
  const under = `${bucketPrefix(world.repository.place)}blobs/${prefix}`
  const keys: string[] = []
  for (let cursor: string | undefined; ; ) {
    const list = await bindings.BUCKET.list({ prefix: under, ...(cursor ? { cursor } : {}) })
    keys.push(...list.objects.map(({ key }) => key))
    if (!list.truncated) return keys
    cursor = list.cursor
  }
}

export const rowsOf = (project: string) =>
  // A stub of its own: those of before a reset are dead.
  runInDurableObject(bindings.PUBLISHER.getByName('main'), (_: Publisher, state) =>
    state.storage.sql.exec('SELECT filename, state FROM files WHERE project = ?', project).toArray(),
  )

export async function publicationOf(): Promise<number | undefined> {
  const status = await world.repository.public.status('main')
  return status.ok ? status.live?.publication : undefined
}

export async function expectPublished({ project, filename, sha256, bytes, metadata }: Distribution): Promise<void> {
  const listed = (await page(project)).find((file) => file.filename === filename)
  expect(listed).toMatchObject({ filename, hashes: { sha256 } })
  const downloaded = await download(project, filename)
  expect(downloaded).toHaveProperty('length', bytes.length)
  expect(await sha256Hex(downloaded as Uint8Array)).toBe(sha256)
  if (!filename.endsWith('.whl')) return
  expect(listed).toMatchObject({ 'core-metadata': { sha256: await sha256Hex(new TextEncoder().encode(metadata)) } })
  expect(await download(project, `${filename}.metadata`)).toEqual(new TextEncoder().encode(metadata))
}

/** Lets the publisher work on a bucket whose puts wait for `open`. */
export async function holdPublications(): Promise<{ open: () => Promise<void> }> {
  let release = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    release = resolve
  })
  const swap = (bucket: R2Bucket) =>
    runInDurableObject(bindings.PUBLISHER.getByName('main'), (publisher: Publisher) => {
      const inside = publisher as unknown as { env: Record<string, unknown>; forget(): void }
      inside.env = { ...inside.env, BUCKET: bucket }
      inside.forget()
    })
  await swap(
    new Proxy(bindings.BUCKET, {
      get(target, property) {
        const member = Reflect.get(target, property) as (...args: unknown[]) => unknown
        if (property !== 'put') return typeof member === 'function' ? member.bind(target) : member
        return async (...args: unknown[]) => {
          while (!(await Promise.race([opened.then(() => true), scheduler.wait(20).then(() => false)])));
          return member.apply(target, args)
        }
      },
    }),
  )
  return {
    open: async () => {
      release()
      await swap(bindings.BUCKET)
    },
  }
}

export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 300; i++) {
    if (await condition()) return
    await scheduler.wait(10)
  }
  throw new Error('It did not come about within 3 seconds.')
}

export interface RecordedRequest {
  line: string
  headers: Headers
  body: Uint8Array<ArrayBuffer>
}

/** A recorded request; what the connection says and not the client (Host, Content-Length) is left to this one. */
export function parseRequest(dataUrl: string): RecordedRequest {
  const text = atob(dataUrl.slice(dataUrl.indexOf(',') + 1))
  const end = text.indexOf('\r\n\r\n')
  const [line, ...lines] = text.slice(0, end).split('\r\n')
  const headers = new Headers()
  for (const header of lines) {
    const colon = header.indexOf(':')
    const name = header.slice(0, colon).toLowerCase()
    if (!['host', 'content-length', 'connection', 'transfer-encoding'].includes(name))
      headers.set(name, header.slice(colon + 1).trim())
  }
  return { line: line!, headers, body: Uint8Array.from(text.slice(end + 4), (char) => char.charCodeAt(0)) }
}

/** What a form holds, read by the runtime's own parser. */
export async function takeApart({ headers, body }: RecordedRequest) {
  const form = await new Response(body, { headers: { 'content-type': headers.get('content-type')! } }).formData()
  const content = form.get('content') as File
  return {
    project: normalizeName(form.get('name') as string),
    filename: content.name,
    sha256: form.get('sha256_digest') as string,
    content: new Uint8Array(await content.arrayBuffer()),
  }
}

/** A bucket that names the changing calls made on it, in order. */
export function counting(): { bucket: R2Bucket; calls: string[] } {
  const calls: string[] = []
  const watched = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(inner, property) {
        const member = Reflect.get(inner, property) as unknown
        if (typeof member !== 'function') return member
        return async (...args: unknown[]) => {
          calls.push(String(property))
          const result = (await member.apply(inner, args)) as unknown
          return property === 'createMultipartUpload' ? watched(result as object) : result
        }
      },
    })
  return { bucket: watched(bindings.BUCKET), calls }
}

/** A body that stops before its last 600 bytes (the archive's end and the form's) until it is told how to go on. */
export function halfSent(whole: Uint8Array): { body: ReadableStream<Uint8Array>; finish(): void; fail(): void } {
  const cut = whole.length - 600
  let finish = (): void => undefined
  let fail = (): void => undefined
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(whole.slice(0, cut))
      let outcome: 'finish' | 'fail' | undefined
      finish = () => {
        outcome = 'finish'
      }
      fail = () => {
        outcome = 'fail'
      }
      // Polled in the sending request: what another request resolves would not wake it.
      while (outcome === undefined) await scheduler.wait(5)
      if (outcome === 'fail') return controller.error(new Error('gone'))
      controller.enqueue(whole.slice(cut))
      controller.close()
    },
  })
  return { body, finish: () => finish(), fail: () => fail() }
}
