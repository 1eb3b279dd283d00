// How the command line speaks: sentences to people on standard error, results on standard output, colours only where a
// terminal shows them.
import { resolve } from 'node:path'
import { cwd, stderr, stdout } from 'node:process'
import { fileURLToPath } from 'node:url'

/** A mistake of the caller or a condition he can change: shown as one line, without a stack. */
export class CommandError extends Error {
  override name = 'CommandError'
  /** Exit code: 2 for wrong words, 1 for everything else. */
  readonly exitCode: number

  constructor(message: string, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

const colourful = (stream: { isTTY?: boolean }): boolean => stream.isTTY === true && !process.env.NO_COLOR

const paint =
  (code: number) =>
  (text: string, stream: { isTTY?: boolean } = stdout): string =>
    colourful(stream) ? `\x1b[${code}m${text}\x1b[0m` : text

export const bold = paint(1)
export const dim = paint(2)
export const red = paint(31)
export const green = paint(32)

const CLONE = fileURLToPath(new URL('..', import.meta.url))

/** How this command is typed where the caller stands: outside the clone npx would fetch a stranger's package of the name. */
export function typedHere(folder: string = cwd()): string {
  if (resolve(folder) === resolve(CLONE)) return 'npx tuf-edge'
  const path = resolve(CLONE, 'cli', 'tuf-edge.mjs')
  return `node ${/^[\w./\\:@+-]+$/.test(path) ? path : JSON.stringify(path)}`
}

export const say = (text = ''): boolean => stdout.write(`${text}\n`)
export const note = (text: string): boolean => stderr.write(`${text}\n`)
