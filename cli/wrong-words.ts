// What is said to words that a command does not take. State: none. Node's own sentences about them run to three lines and
// advise what nobody meant; npm keeps options that stand before `--` for itself, and would start something else unasked.
import { CommandError } from './terminal.ts'

/** What `parseArgs` threw, as a sentence of ours; undefined: it is something else. `help` prints the right words. */
export function wrongWords(error: unknown, help: string): CommandError | undefined {
  if (!(error instanceof TypeError) || !('code' in error)) return undefined
  const word = /'([^']*)'/.exec(error.message)?.[1] ?? ''
  // Node names a short form first (`-h, --help`), and the value that it wants after it (`--port <value>`).
  const option = /--[^ ]+/.exec(word)?.[0] ?? word
  switch (error.code) {
    case 'ERR_PARSE_ARGS_UNKNOWN_OPTION':
      return new CommandError(`There is no option '${option}': \`${help}\` lists them.`, 2)
    case 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL':
      return new CommandError(`'${word}' is a word too many: \`${help}\` shows what is taken.`, 2)
    case 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE': {
      const none = error.message.includes('does not take an argument')
      return new CommandError(`The option '${option}' wants ${none ? 'no' : 'a'} value: \`${help}\` shows how.`, 2)
    }
    default:
      return undefined
  }
}

/** Whether `npm SCRIPT` (`start`, `run demo`) started this, and so is what people will type again. */
export const startedBy = (script: string): boolean => process.env.npm_lifecycle_event === script.split(' ').at(-1)

/**
 * Refuses what npm kept: of `npm start --port 9124` only `9124` arrives, of `npm run deploy --dry-run` nothing at all.
 *
 * @param options the command's own; true: takes a value
 */
export function refuseKeptByNpm(script: string, args: readonly string[], options: Readonly<Record<string, boolean>>) {
  if (!startedBy(script)) return
  const loose = args.filter((arg) => !arg.startsWith('-'))
  const kept = Object.entries(options).flatMap(([name, takesValue]) => {
    const value = process.env[`npm_config_${name.replaceAll('-', '_')}`]
    if (value === undefined || value === '' || value === 'false') return []
    if (!takesValue) return [`--${name}`]
    return [`--${name} ${value === 'true' ? (loose.shift() ?? 'VALUE') : value}`]
  })
  if (kept.length === 0) return
  const right = `npm ${script} -- ${kept.join(' ')}`
  throw new CommandError(`npm keeps options for itself unless \`--\` stands before them: type \`${right}\`.`, 2)
}
