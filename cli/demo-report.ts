// How the demo is told: numbered steps for people, or one JSON object a step for programs. And what it all comes to.
import type { Check, Reporter, StepResult } from './demo-steps.ts'
import { bold, dim, green, red, say } from './terminal.ts'

export function textReporter(): Reporter {
  return {
    begin(number, { title, aim }) {
      say(`\n${bold(`${number}. ${title}`)}`)
      if (aim !== undefined) say(dim(`   what for: ${aim}`))
    },
    check: (check) => void say(lineOf(check)),
    end: () => {},
  }
}

export function jsonReporter(): Reporter {
  return { begin: () => {}, check: () => {}, end: (result: StepResult) => void say(JSON.stringify(result)) }
}

function lineOf({ ok, who, expected, seen, detail }: Check): string {
  // What is as published needs no reason.
  const reason = detail === undefined || (ok && seen === 'genuine') ? '' : `\n       ${dim(shorten(detail))}`
  if (ok) return `   ${green('✓')} ${who}: ${shorten(seen)}${reason}`
  return `${red(`   ✗ ${who}\n       expected: ${expected}\n       seen: ${seen}`)}${reason}`
}

/** Digests in full are for `--json`. */
const shorten = (text: string): string =>
  text.replaceAll(/[0-9a-f]{64}/g, (digest) => `${digest.slice(0, 8)}…`).replaceAll(/\s+/g, ' ')

interface Row {
  danger: string
  tuf: string
  plain: string
}

/** What the steps above show, and what no step can show because nothing here protects from it. */
const PROTECTION: readonly Row[] = [
  { danger: 'Somebody with the storage key changes files or pages', tuf: 'refused', plain: 'refused' },
  { danger: '… puts an old state of the index back', tuf: 'refused (1)', plain: 'refused' },
  { danger: '… forges a new state', tuf: 'refused', plain: 'refused' },
  { danger: 'A cache, a mirror or the network alters answers', tuf: 'refused', plain: 'NO: HTTPS only' },
  { danger: "The index's own server code is taken over", tuf: 'refused (2)', plain: 'NO' },
]

const EVERYONE: readonly string[] = [
  'protected: an upload is there as a whole or not at all, and nobody is shown half a change.',
  'protected: a version of a file never changes under its name.',
  'NOT protected: an author, or the thief of an author\u2019s upload token, publishes something bad.',
  'NOT protected: somebody deletes the storage or blocks the network. Nobody gets a wrong file, but nobody gets any.',
  'NOT protected: the signing keys inside the publisher are stolen. The offline keys end that by naming new ones.',
]

const NOTES: readonly string[] = [
  '(1) A client that never ran before takes an old state too, until the timestamp in it expires: a day at most.',
  '(2) As long as the publisher, a script of its own that alone holds the signing keys, does not fall with it.',
]

export function protectionTable(): string {
  const width = (column: keyof Row, title: string) =>
    Math.max(title.length, ...PROTECTION.map((row) => row[column].length)) + 3
  const [first, second] = [width('danger', ''), width('tuf', 'TUF client or proxy')]
  const lines = PROTECTION.map(({ danger, tuf, plain }) => `  ${danger.padEnd(first)}${tuf.padEnd(second)}${plain}`)
  return [
    bold('What is protected, and what is not'),
    '',
    `  ${' '.repeat(first)}${bold('TUF client or proxy'.padEnd(second))}${bold('plain pip')}`,
    ...lines,
    '',
    `  ${bold('everyone')}`,
    ...EVERYONE.map((line) => `  ${line}`),
    '',
    ...NOTES.map((line) => dim(`  ${line}`)),
  ].join('\n')
}
