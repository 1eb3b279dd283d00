// Fetching a target: nothing wrong is ever handed out whole, and no server can hold a client for ever.
import { describe, expect, test } from 'vitest'
import { digestHex, sha256Hex } from '../../../tuf/digest.ts'
import { DownloadError, FormatError, MismatchError } from '../../../tuf/errors.ts'
import { readAll, verifiedStream } from '../../../tuf/stream.ts'
import { webTransport } from '../../../tuf/transport.ts'
import { streamOf, utf8 } from './repository.ts'
import { clientOf, setUp } from './setup.ts'

describe('a download', () => {
  const content = utf8('0123456789'.repeat(500))
  async function published() {
    const { repository, store } = await setUp()
    repository.role('targets').files.set('dir/x-y#.bin', content)
    await repository.publish('targets')
    const client = clientOf(repository, store)
    const info = (await client.targetInfo('dir/x-y#.bin'))!
    const name = `targets/dir/${await sha256Hex(content)}.x-y%23.bin`
    repository.asked()
    return { repository, client, info, name }
  }

  test('asks for the digest-prefixed, encoded name', async () => {
    const { repository, client, info, name } = await published()
    expect(await client.download(info)).toEqual(content)
    expect(repository.asked()).toEqual([name])
  })

  test.each<[string, (bytes: Uint8Array) => Uint8Array, unknown]>([
    [
      'one byte changed',
      (bytes) => {
        const copy = bytes.slice()
        copy[17]! ^= 1
        return copy
      },
      MismatchError,
    ],
    [
      'the last byte changed',
      (bytes) => {
        const copy = bytes.slice()
        copy[copy.length - 1]! ^= 1
        return copy
      },
      MismatchError,
    ],
    ['one byte less', (bytes) => bytes.slice(0, -1), MismatchError],
    ['one byte more', (bytes) => Uint8Array.from([...bytes, 0]), MismatchError],
    ['nothing', () => new Uint8Array(0), MismatchError],
  ])('%s: fails, and its reader never has the whole of it', async (_, change, error) => {
    const { repository, client, info, name } = await published()
    repository.files.set(name, change(content))
    await expect(client.download(info)).rejects.toThrow(error as typeof FormatError)
    const reader = (await client.stream(info)).getReader()
    let received = 0
    await expect(
      (async () => {
        for (let next = await reader.read(); !next.done; next = await reader.read()) received += next.value.length
      })(),
    ).rejects.toThrow(error as typeof FormatError)
    expect(received).toBeLessThan(info.length)
  })

  test('sha256 is asked for wherever it is listed, another digest only without it', async () => {
    const { repository, client, info } = await published()
    const sha256 = await sha256Hex(content)
    const sha512 = await digestHex('sha512', content)
    const both = new Map([
      ['sha512', sha512],
      ['sha256', sha256],
    ])
    expect(await client.download({ ...info, hashes: both })).toEqual(content)
    const alone = { ...info, hashes: new Map([['sha512', sha512]]) }
    await expect(client.download(alone)).rejects.toThrow(DownloadError)
    expect(repository.asked().map((name) => name.split('/')[2])).toEqual([
      `${sha256}.x-y%23.bin`,
      `${sha512}.x-y%23.bin`,
    ])
  })

  test('a missing target is a download error', async () => {
    const { repository, client, info, name } = await published()
    repository.files.delete(name)
    await expect(client.download(info)).rejects.toMatchObject({ code: 'download', status: 404 })
  })

  test('an endless body is cut off at the length', async () => {
    let sent = 0
    let cancelled = false
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1000
        controller.enqueue(new Uint8Array(1000))
      },
      cancel() {
        cancelled = true
      },
    })
    const expected = { length: 5000, hashes: new Map([['sha256', 'ab'.repeat(32)]]) }
    await expect(readAll(verifiedStream(endless, expected, 'x'), 5000, 'x')).rejects.toThrow(MismatchError)
    expect(cancelled).toBe(true)
    expect(sent).toBeLessThan(10_000)
  })

  test('empty chunks do not push out what is withheld', async () => {
    const chunks = [content, new Uint8Array(0), new Uint8Array(0)]
    const body = () => {
      const rest = [...chunks]
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          const next = rest.shift()
          if (next) controller.enqueue(next)
          else controller.close()
        },
      })
    }
    const wrong = verifiedStream(
      body(),
      { length: content.length, hashes: new Map([['sha256', 'ab'.repeat(32)]]) },
      'x',
    ).getReader()
    await expect(wrong.read()).rejects.toThrow(MismatchError)
    const right = verifiedStream(
      body(),
      { length: content.length, hashes: new Map([['sha256', await sha256Hex(content)]]) },
      'x',
    )
    expect(await readAll(right, content.length, 'x')).toEqual(content)
  })

  test('the right digest with another length is wrong', async () => {
    const hashes = new Map([['sha256', await sha256Hex(content)]])
    const longer = verifiedStream(streamOf(content), { length: content.length + 1, hashes }, 'x')
    await expect(readAll(longer, content.length + 1, 'x')).rejects.toThrow('ended after 5000 of its 5001 bytes')
  })

  test('an empty target is a target', async () => {
    const expected = { length: 0, hashes: new Map([['sha256', await sha256Hex(new Uint8Array(0))]]) }
    expect(await readAll(verifiedStream(streamOf(new Uint8Array(0)), expected, 'x'), 0, 'x')).toHaveLength(0)
  })

  test('every listed digest is checked, and an unknown one is never ignored', () => {
    const body = () => streamOf(content)
    const hashes = (entries: [string, string][]) => ({ length: content.length, hashes: new Map(entries) })
    expect(() => verifiedStream(body(), hashes([['blake2b-256', 'ab']]), 'x')).toThrow(FormatError)
    expect(() =>
      verifiedStream(
        body(),
        hashes([
          ['sha256', 'ab'],
          ['md5', 'cd'],
        ]),
        'x',
      ),
    ).toThrow(FormatError)
    expect(() => verifiedStream(body(), hashes([]), 'x')).toThrow(FormatError)
  })

  test('sha512 beside sha256 must be right too', async () => {
    const sha256 = await sha256Hex(content)
    const wrong = verifiedStream(
      streamOf(content),
      {
        length: content.length,
        hashes: new Map([
          ['sha256', sha256],
          ['sha512', 'ab'.repeat(64)],
        ]),
      },
      'x',
    )
    await expect(readAll(wrong, content.length, 'x')).rejects.toThrow('sha512')
  })
})

describe('the web transport', () => {
  test('turns a broken connection into a download error, and leaves HTTP errors to the client', async () => {
    const broken = webTransport({
      fetch: async () => {
        throw new TypeError('fetch failed.')
      },
    })
    await expect(broken.fetch('http://x.test/', 1)).rejects.toThrow(
      new DownloadError('Fetching http://x.test/ failed: fetch failed.'),
    )
    const missing = webTransport({ fetch: async () => new Response(null, { status: 404 }) })
    const answer = await missing.fetch('http://x.test/', 1)
    expect(answer.status).toBe(404)
    expect(await readAll(answer.body, 0, 'x')).toHaveLength(0)
  })

  test('cuts off a server that never answers, or sends too slowly', async () => {
    const hanging = webTransport({
      graceMs: 20,
      fetch: (_, { signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    })
    await expect(hanging.fetch('http://x.test/', 1)).rejects.toThrow('the server is too slow')

    const dripping = webTransport({
      graceMs: 50,
      minBytesPerSecond: 1000,
      fetch: async (_, { signal }) => {
        const body = new ReadableStream<Uint8Array>({
          async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 10))
            if (signal.aborted) controller.error(signal.reason)
            else controller.enqueue(new Uint8Array(1))
          },
        })
        return new Response(body)
      },
    })
    const { body } = await dripping.fetch('http://x.test/', 1000)
    await expect(readAll(body, 1000, 'x')).rejects.toThrow('the server is too slow')
  })

  test('a deadline beyond what a timer can count does not fire at once', async () => {
    let sent = 0
    const transport = webTransport({
      graceMs: 100,
      minBytesPerSecond: 1e-6,
      fetch: async (_, { signal }) =>
        new Response(
          new ReadableStream<Uint8Array>(
            {
              async pull(controller) {
                await new Promise((resolve) => setTimeout(resolve, 40))
                if (signal.aborted) controller.error(signal.reason)
                else if (++sent > 5) controller.close()
                else controller.enqueue(new Uint8Array(10))
              },
            },
            { highWaterMark: 0 },
          ),
        ),
    })
    const { body } = await transport.fetch('http://x.test/', 100)
    expect(await readAll(body, 100, 'x')).toHaveLength(50)
  })

  test('does not cut off a server because its reader is slow', async () => {
    const transport = webTransport({ graceMs: 100, fetch: async () => new Response(streamOf(new Uint8Array(30), 10)) })
    const { body } = await transport.fetch('http://x.test/', 30)
    const reader = body.getReader()
    let received = 0
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      received += next.value.length
      await new Promise((resolve) => setTimeout(resolve, 120))
    }
    expect(received).toBe(30)
  })
})
