// The readers of metadata, pages, credentials and headers. Properties, beside those of every target:
// - tuf/ throws TufError alone; what it takes has one canonical form, the one that another implementation writes;
// - what reads request headers throws nothing at all.
import { readFileSync } from 'node:fs'
import { canonicalize as reference } from '@tufjs/canonical-json'
import { parseParameters } from '../../pypi/media-type.ts'
import { chooseForm } from '../../pypi/negotiate.ts'
import { Refusal } from '../../pypi/refusal.ts'
import { PageError, parseProjectJson, renderProjectHtml, renderProjectJson } from '../../pypi/simple.ts'
import { canonicalize } from '../../tuf/canonical.ts'
import { TufError } from '../../tuf/errors.ts'
import { parseJson } from '../../tuf/json.ts'
import { parseRoot, parseSnapshot, parseTargets, parseTimestamp } from '../../tuf/metadata.ts'
import { matchPattern } from '../../tuf/paths.ts'
import { tokenOf } from '../../workers/credentials.ts'
import { segmentsBehind } from '../../workers/paths.ts'
import { chooseRange, noneMatches } from '../../workers/ranges.ts'
import { bytesOf, simplified, type Target } from './fuzz.ts'

const vector = <T>(name: string): T => JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'))
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

function judged(expected: abstract new (...args: never[]) => Error, work: () => string): string {
  try {
    return work()
  } catch (error) {
    // Without the name that some messages begin with, and with their first words alone: the rest is part of the input.
    if (error instanceof expected)
      return simplified(error.message.replace(/^.*?: |is .*, not/s, ''))
        .split(' ', 6)
        .join(' ')
    throw error
  }
}

/** The canonical form of accepted JSON, twice over, and as another implementation has it. */
function sameCanonicalForm(bytes: Uint8Array): void {
  const ours = canonicalize(parseJson(bytes))
  const plain: unknown = JSON.parse(text(bytes))
  // It sorts by UTF-16 units, which is another order from U+10000 on, and gives `__proto__` a meaning.
  if (/[\ud800-\udfff]|\\u[dD][89a-fA-F]|__proto__/.test(text(bytes))) return
  const theirs = reference(plain as never)
  if (text(ours) !== theirs) throw new Error(`Two canonical forms:\n${text(ours)}\n${theirs}`)
  let again: Uint8Array
  try {
    again = canonicalize(parseJson(ours))
  } catch (error) {
    // Control characters stand raw in canonical JSON, which is no JSON then.
    if ([...theirs].some((character) => character < ' ')) return
    throw error
  }
  if (text(again) !== text(ours)) throw new Error('The canonical form of the canonical form is another.')
}

const json: Target = {
  name: 'json',
  corpus: vector<{ json: string }[]>('canonical.json').map(({ json: value }) => bytesOf(value)),
  dictionary: [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\u0000',
    '\\ud83d\\ude00',
    '\\ud83d',
    '\\/',
    'null',
    'true',
    '1.0',
    '1e2',
    '{"a":1,"a":2}',
    '{"b":1,"a":2}',
    '\u007f',
  ],
  bytesMax: 4_096,
  run: (input) =>
    judged(TufError, () => {
      parseJson(input)
      sameCanonicalForm(input)
      return 'taken'
    }),
}

const PARSERS = { root: parseRoot, timestamp: parseTimestamp, snapshot: parseSnapshot, targets: parseTargets }
const metadata: Target = {
  name: 'tuf-metadata',
  corpus: vector<{ compact: string }[]>('metadata.json').map(({ compact }) => bytesOf(compact)),
  dictionary: [
    '"_type":"root"',
    '"version":1',
    '"threshold":0',
    '"keyids":[]',
    '"hashes":{}',
    '"length":-1',
    '"expires":"2030-02-30T00:00:00Z"',
    '"9999-12-31T23:59:59Z"',
    '"paths":[]',
    '"path_hash_prefixes":[""]',
    '"succinct_roles":{"bit_length":33}',
    '"terminating":1',
    '"custom":null',
    '"spec_version":"2.0"',
    '"meta":{"a/../b.json":{"version":1}}',
    '"keytype":"ecdsa"',
    'null',
    '{}',
    '[]',
    '"delegations":',
  ],
  bytesMax: 32_768,
  run: (input) =>
    Object.entries(PARSERS)
      .map(([role, parse]) =>
        judged(TufError, () => {
          const envelope = parse(input)
          const signed = JSON.parse(text(input)).signed
          sameCanonicalForm(bytesOf(JSON.stringify(signed)))
          if (
            text(envelope.payload) !== text(canonicalize(signed)) &&
            !/[\ud800-\udfff]|__proto__/.test(JSON.stringify(signed))
          )
            throw new Error('The payload is not what was signed.')
          return role
        }),
      )
      .sort()[0]!,
}

const PAGE = {
  project: 'alpha',
  shard: '8ed3',
  versions: ['1.0', '1.0rc1'],
  files: [
    {
      filename: 'alpha-1.0.tar.gz',
      sha256: 'ab'.repeat(32),
      size: 3,
      uploadTime: '2026-01-01T00:00:00.000Z',
      requiresPython: '<4',
      yanked: 'a "reason" & <more>',
    },
  ],
}
const page: Target = {
  name: 'simple-json',
  corpus: [bytesOf(renderProjectJson(PAGE)), bytesOf(renderProjectHtml(PAGE))],
  dictionary: [
    '"api-version":"2.0"',
    '"../../files/',
    '"url":"https://evil.example/"',
    '"yanked":1',
    '"hashes":{}',
    '"core-metadata":true',
    'null',
    '[]',
    '{}',
  ],
  run: (input) => judged(PageError, () => `${parseProjectJson(input, 'alpha', '8ed3').files.length}`),
}

const SECRET = `tue_${'x'.repeat(43)}abcdef`
const headerText: Target = {
  name: 'headers',
  corpus: [
    ...[
      `Basic ${btoa(`__token__:${SECRET}`)}`,
      `Bearer ${SECRET}`,
      'bytes=0-1',
      'bytes=-5',
      'bytes = 5-',
      '"abc"',
      'W/"abc", *',
    ],
    ...[
      'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01',
      '*/*;q=0.1, text/*',
    ],
    ...[
      'multipart/form-data; boundary="a b"',
      'form-data; name="content"; filename*=utf-8\'\'a%20b',
      '/simple/a%2fb/../c',
      '/files/0a*/x/*',
    ],
  ].map(bytesOf),
  dictionary: [
    'Basic ',
    'Bearer ',
    'bytes=',
    '-',
    ',',
    ';q=',
    ';q=0.',
    '*/*',
    'text/html',
    '%2e',
    '%c0%af',
    '*',
    '?',
    ';',
    '="',
    '\\"',
  ],
  bytesMax: 20_000,
  run: (input) => {
    const value = latin1(input)
    const headers = { get: () => value } as unknown as Headers
    const range = chooseRange(value, null, '"abc"', 10)
    if (
      range !== null &&
      range !== 'unsatisfiable' &&
      !(range.first >= 0 && range.first <= range.last && range.last < 10)
    )
      throw new Error(`The range ${JSON.stringify(range)} of ten bytes.`)
    const segments = segmentsBehind('/', value)
    if (segments?.some((segment) => segment === '..' || /[/\\\0]/.test(segment)))
      throw new Error('A way out of the folder.')
    return [
      tokenOf(headers)?.length === SECRET.length,
      chooseForm(value),
      chooseForm(null, value),
      noneMatches(value, '"abc"'),
      chooseRange('bytes=0-', value, '"abc"', 10) === null,
      typeof range,
      segments !== undefined,
      matchPattern(value.slice(0, 500), 'files/0abc/x/y'),
      judged(Refusal, () => [...parseParameters(value).parameters.keys()].length.toString()),
    ].join(' ')
  },
}

export const TUF_TARGETS: Target[] = [json, metadata, page, headerText]
