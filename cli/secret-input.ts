// How a secret comes in: from the environment, a file, a pipe, or typed where nobody sees it. Never from an argument,
// because arguments stand in process lists and shell histories.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { CommandError, note } from './terminal.ts'

export interface SecretSource {
  /** What it is called in questions and refusals, such as `bootstrap secret`. */
  what: string
  variable: string
  file?: string | undefined
  /** Also from a pipe to standard input; at most one secret of a command. */
  piped?: boolean
}

/** @throws CommandError that names every way to give it, if there is no way left */
export async function secretFrom({ what, variable, file, piped }: SecretSource): Promise<string> {
  const given = file === undefined ? process.env[variable] : readSecret(file, what)
  if (given?.trim()) return given.trim()
  if (process.stdin.isTTY) return typed(`${what}: `)
  const text = piped ? await readPipe() : ''
  if (text) return text
  const pipe = piped ? ', pipe it in' : ''
  throw new CommandError(`The ${what} is needed: set ${variable}${pipe}, or run this in a terminal and be asked.`)
}

function readSecret(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw new CommandError(`The file ${file} with the ${what} cannot be read.`)
  }
}

async function readPipe(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin) text += chunk
  return text.trim()
}

/** One line from the terminal, without an echo. */
export async function typed(question: string): Promise<string> {
  process.stderr.write(question)
  const silence = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: silence, terminal: true })
  try {
    return (await terminal.question('')).trim()
  } catch {
    // Ctrl-C or Ctrl-D
    throw new CommandError('Nothing was typed, and nothing was done.')
  } finally {
    terminal.close()
    note('')
  }
}
