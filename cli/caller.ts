// What the commands that talk to a running index have in common: where it is, who asks, and how the words are read.
// Invariant: a token is never an argument, because arguments stand in process lists and shell histories.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { mustBeReadable } from './api.ts'
import { CommandError } from './terminal.ts'

export const DEFAULT_URL = 'http://127.0.0.1:8787'

export const CALLER_HELP = `  --url URL          the index (${DEFAULT_URL}); one beside main is at https://HOST/r/NAME
  --token-file FILE  file with the token, - for the standard input; else the environment variable TUF_EDGE_TOKEN has it
  --json             the answer as JSON`

/** Options of `parseArgs` that every one of these commands has. */
export const CALLER_OPTIONS = {
  url: { type: 'string' },
  'token-file': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

/** What to look at when nobody answered; `option` holds the address. */
export const nobodyThere = (option: string): string =>
  `Does the index run (\`npm start\` runs one on this machine), and is ${option} its address?`

export function parseUrl(text: string = DEFAULT_URL): string {
  if (!URL.canParse(text)) throw new CommandError(`--url wants a URL, not '${text}'.`, 2)
  return text
}

/** From the file (`-`: the standard input), else from the environment. */
export function tokenOf(file: string | undefined): string | undefined {
  const text = file === undefined ? process.env.TUF_EDGE_TOKEN?.trim() || undefined : read(file)
  return text === undefined ? undefined : mustBeReadable(text)
}

function read(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').trim()
  } catch {
    throw new CommandError(`The token file ${file} cannot be read.`)
  }
}

export function mustHaveToken(file: string | undefined): string {
  const token = tokenOf(file)
  if (token === undefined)
    throw new CommandError('This takes a token: set TUF_EDGE_TOKEN, or name a file with --token-file.')
  return token
}

/** Asks a person; without a terminal the answer is no. */
export async function confirmed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim())
  } finally {
    terminal.close()
  }
}
